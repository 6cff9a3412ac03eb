package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// A row group is what a reader takes at once, and what is held until it is written.
const (
	parquetGroupRows  = 128 << 10
	parquetGroupBytes = 32 << 20 // Of the values, before they are compressed.
)

// parquetLines prints Apache Parquet: compressed columns whose types are the same whichever store they come from. Whatever is no column of
// the audit's is text.
type parquetLines struct {
	out   io.Writer
	table string

	to      *parquet.GenericWriter[any] // nil: no columns yet.
	fields  []parquetColumn
	line    parquet.Row // The row at hand, used again.
	rows    int         // In the row group at hand,
	pending int         // and their bytes.
}

// parquetColumn is a column of the answer.
type parquetColumn struct {
	name string
	leaf int // The number of its first column of Parquet's.
	put  func(to parquet.Row, value any, leaf int) (parquet.Row, error)
}

func newParquetLines(w io.Writer, table string) *parquetLines {
	return &parquetLines{out: w, table: table}
}

// columns makes the schema. Encodings and pages are those that every reader knows.
func (p *parquetLines) columns(names []string) error {
	group := parquet.Group{}
	options := []parquet.WriterOption{
		parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1), parquet.CreatedBy("zenconn", version(), ""),
	}
	leaf := 0
	for _, name := range names {
		kind := parquetKindOf(name)
		group[name] = kind.node()
		p.fields = append(p.fields, parquetColumn{name, leaf, kind.puts()})
		leaf += kind.leaves()
		for _, path := range kind.boundless(name) {
			options = append(options, parquet.SkipPageBounds(path...), parquet.SkipPageStatistics(path...))
		}
	}
	p.to = parquet.NewGenericWriter[any](p.out, append(options, parquet.NewSchema(p.table, inOrder(group, names)))...)
	return nil
}

func (p *parquetLines) row(values []any) (err error) {
	p.line = p.line[:0]
	for i, value := range values {
		field := &p.fields[i]
		if p.line, err = field.put(p.line, value, field.leaf); err != nil {
			return fmt.Errorf("%s.%s holds %.100q, which is not %w", p.table, field.name, fmt.Sprint(value), err)
		}
	}
	if _, err := p.to.WriteRows([]parquet.Row{p.line}); err != nil {
		return err
	}
	for _, v := range p.line {
		p.pending += 8 + len(v.Bytes())
	}
	if p.rows++; p.rows < parquetGroupRows && p.pending < parquetGroupBytes {
		return nil
	}
	p.rows, p.pending = 0, 0
	return p.to.Flush()
}

func (p *parquetLines) end() error {
	if p.to == nil {
		return nil
	}
	return p.to.Close()
}

// orderedGroup is a group whose fields are in another order than that of their names.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (o orderedGroup) Fields() []parquet.Field { return o.fields }

func inOrder(group parquet.Group, names []string) parquet.Node {
	fields := group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int { return slices.Index(names, a.Name()) - slices.Index(names, b.Name()) })
	return orderedGroup{group, fields}
}
