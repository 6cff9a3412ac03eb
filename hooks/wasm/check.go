package wasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm/meter"
)

var (
	hookType       = meter.Type{Results: meter.I32}
	initializeType = meter.Type{}
)

// check refuses a module that wants what there is not, or that would silently never be called. It says all that is wrong at once.
func check(m *meter.Module, pages uint32) error {
	errs := append(checkImports(m.Imports), checkExports(m.Exports)...)
	if m.Memory.Min > pages {
		errs = append(errs, fmt.Errorf("it begins with %d KiB of memory and may have %d KiB; set the plugin's memory higher",
			uint64(m.Memory.Min)*pageSize>>10, uint64(pages)*pageSize>>10))
	}
	return errors.Join(errs...)
}

func checkImports(imports []meter.Import) []error {
	var errs []error
	for _, i := range imports {
		offered, ok := offers[i.Module][i.Name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("it imports %s.%s, which the server does not have%s", i.Module, i.Name, whyNot(i)))
		case i.Type != offered.typ:
			errs = append(errs, fmt.Errorf("it imports %s.%s as %s; it is %s", i.Module, i.Name, i.Type, offered.typ))
		}
	}
	return errs
}

// whyNot is advice for common imports that there are not.
func whyNot(i meter.Import) string {
	switch {
	case i.Module == wasiModule && strings.HasPrefix(i.Name, "path_"):
		return ": plugins have no files"
	case i.Module == wasiModule && strings.HasPrefix(i.Name, "sock_"):
		return ": plugins have no sockets"
	case i.Module == abiModule:
		names := make([]string, 0, len(offers[abiModule]))
		for name := range offers[abiModule] {
			names = append(names, name)
		}
		slices.Sort(names)
		return host.DidYouMean(i.Name, names) + "; " + abiModule + " has " + strings.Join(names, ", ")
	case i.Module == "env" && i.Name == "abort":
		return "; AssemblyScript leaves it out with --use abort="
	case strings.HasPrefix(i.Module, "hook_v"):
		return "; it speaks " + abiModule
	}
	return ""
}

func checkExports(exports []meter.Export) []error {
	var errs []error
	known := make([]string, host.Seats)
	for i, s := range host.Seating {
		known[i] = s.Function
	}
	memory, command, defined := false, false, false
	for _, e := range exports {
		switch {
		case e.Name == "memory":
			memory = e.Kind == meter.LinearMemory
		case e.Name == "_start":
			command = true
		case e.Name == "_initialize":
			errs = append(errs, checkSignature(e, initializeType))
		case slices.Contains(known, e.Name):
			defined = true
			errs = append(errs, checkSignature(e, hookType))
		case strings.HasPrefix(e.Name, "on_"):
			errs = append(errs, fmt.Errorf("it exports %s, which is no hook%s; the hooks are %s", e.Name,
				host.DidYouMean(e.Name, known), strings.Join(known, ", ")))
		}
	}
	if command {
		errs = append(errs, errors.New("it exports _start: it is a program; build a library instead (Go: -buildmode=c-shared, C: --no-entry, "+
			"Rust: --crate-type cdylib)"))
	}
	if !memory {
		errs = append(errs, errors.New("it exports no memory"))
	}
	if !defined {
		errs = append(errs, fmt.Errorf("it exports no hook; the hooks are %s", strings.Join(known, ", ")))
	}
	return errs
}

func checkSignature(e meter.Export, want meter.Type) error {
	switch {
	case e.Kind != meter.Function:
		return fmt.Errorf("it exports %s as a %s; it must be a function %s", e.Name, e.Kind, want)
	case e.Type != want:
		return fmt.Errorf("it exports %s as %s; it must be %s", e.Name, e.Type, want)
	}
	return nil
}
