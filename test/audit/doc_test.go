// Package audit_test proves, with the real programs, that everything that was acknowledged is in the audit once, whatever dies.
package audit_test
