package lua

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// joiner is the local variable that holds the function a concatenation calls. No script can spell it.
const joiner = "\x00.."

// program is a compiled file. It is immutable and shared by all instances.
type program struct {
	proto  *lua.FunctionProto
	locals map[string]int // Lines of top-level local functions, by name: a local hook is never called.
}

// compile reads a file. Errors begin with "file:line: ".
func compile(file string, source []byte) (p *program, err error) {
	defer func() {
		if v := recover(); v != nil { // The parser and the compiler panic on a few odd inputs.
			p, err = nil, fmt.Errorf("%s:1: cannot be compiled: %v", file, v)
		}
	}()
	chunk, err := parse.Parse(bytes.NewReader(source), file)
	if err != nil {
		return nil, parseError(file, source, err)
	}
	p = &program{locals: localFunctions(chunk)}
	// The chunk is called with the joiner as its only argument.
	take := &ast.LocalAssignStmt{Names: []string{joiner}, Exprs: []ast.Expr{&ast.Comma3Expr{AdjustRet: true}}}
	take.SetLine(1)
	take.SetLastLine(1)
	take.Exprs[0].SetLine(1)
	take.Exprs[0].SetLastLine(1)
	rewriteBlock(chunk)
	p.proto, err = lua.Compile(append([]ast.Stmt{take}, chunk...), file)
	if e, ok := errors.AsType[*lua.CompileError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", file, e.Line, e.Message)
	}
	return p, err
}

func parseError(file string, source []byte, err error) error {
	e, ok := errors.AsType[*parse.Error](err)
	if !ok {
		return fmt.Errorf("%s: %w", file, err)
	}
	if e.Pos.Line == parse.EOF {
		lines := bytes.Count(bytes.TrimRight(source, "\n"), []byte("\n")) + 1
		return fmt.Errorf("%s:%d: %s at the end of the file", file, lines, e.Message)
	}
	return fmt.Errorf("%s:%d: %s near %q", file, e.Pos.Line, strings.TrimSpace(e.Message), e.Token)
}

func localFunctions(chunk []ast.Stmt) map[string]int {
	found := map[string]int{}
	for _, s := range chunk {
		if local, ok := s.(*ast.LocalAssignStmt); ok && len(local.Names) == 1 && len(local.Exprs) == 1 {
			if _, ok := local.Exprs[0].(*ast.FunctionExpr); ok {
				found[local.Names[0]] = local.Line()
			}
		}
	}
	return found
}

// rewriteBlock replaces every concatenation by a call of the joiner. The machine's own instruction has no bound: a string
// doubled in a loop takes all memory within a few dozen instructions.
func rewriteBlock(block []ast.Stmt) {
	for _, s := range block {
		rewriteStatement(s)
	}
}

func rewriteStatement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		rewriteAll(s.Lhs)
		rewriteAll(s.Rhs)
	case *ast.LocalAssignStmt:
		rewriteAll(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = rewrite(s.Expr)
	case *ast.DoBlockStmt:
		rewriteBlock(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Stmts)
	case *ast.IfStmt:
		s.Condition = rewrite(s.Condition)
		rewriteBlock(s.Then)
		rewriteBlock(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = rewrite(s.Init), rewrite(s.Limit), rewrite(s.Step)
		rewriteBlock(s.Stmts)
	case *ast.GenericForStmt:
		rewriteAll(s.Exprs)
		rewriteBlock(s.Stmts)
	case *ast.FuncDefStmt:
		rewriteBlock(s.Func.Stmts)
	case *ast.ReturnStmt:
		rewriteAll(s.Exprs)
	}
}

func rewriteAll(list []ast.Expr) {
	for i := range list {
		list[i] = rewrite(list[i])
	}
}

func rewrite(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.StringConcatOpExpr:
		return joinCall(e)
	case *ast.AttrGetExpr:
		e.Object, e.Key = rewrite(e.Object), rewrite(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			f.Key, f.Value = rewrite(f.Key), rewrite(f.Value)
		}
	case *ast.FuncCallExpr:
		e.Func, e.Receiver = rewrite(e.Func), rewrite(e.Receiver)
		rewriteAll(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = rewrite(e.Lhs), rewrite(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = rewrite(e.Expr)
	case *ast.FunctionExpr:
		rewriteBlock(e.Stmts)
	}
	return e
}

// joinCall turns a .. b .. c into one call with three arguments.
func joinCall(e *ast.StringConcatOpExpr) ast.Expr {
	args := []ast.Expr{operand(e.Lhs)}
	rest := e.Rhs
	for {
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		args = append(args, operand(next.Lhs))
		rest = next.Rhs
	}
	args = append(args, operand(rest))
	name := &ast.IdentExpr{Value: joiner}
	name.SetLine(e.Line())
	name.SetLastLine(e.LastLine())
	call := &ast.FuncCallExpr{Func: name, Args: args, AdjustRet: true}
	call.SetLine(e.Line())
	call.SetLastLine(e.LastLine())
	return call
}

// operand keeps a call or "..." at the end of a concatenation to one value, as it would be without the rewrite.
func operand(e ast.Expr) ast.Expr {
	e = rewrite(e)
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}
