package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/zenconn/server/core/cluster"
)

// gatherTimeout is how long a scrape waits for a worker. One that does not answer is left out and counted.
const gatherTimeout = 2 * time.Second

// metricsSubject is where a node answers with its metrics.
func metricsSubject(uid string) string { return "node." + uid + ".metrics" }

// tellMetrics answers who asks for this node's metrics.
func (n *Node) tellMetrics(context.Context, []byte) ([]byte, error) {
	families, err := n.registry.Gather()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// Gather implements prometheus.Gatherer with the metrics of this node and those of the workers that mine picks, which get the label
// worker.
func (n *Node) Gather(mine func(cluster.Member) bool) ([]*dto.MetricFamily, error) {
	families, err := n.registry.Gather()
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	var asked sync.WaitGroup
	var mu sync.Mutex
	for _, m := range n.members.List() {
		if m.Self || m.Incompatible || !mine(m) {
			continue
		}
		asked.Go(func() {
			theirs, err := n.ask(ctx, m)
			if err != nil {
				n.metrics.ClusterUnanswered.WithLabelValues("metrics").Inc()
				n.log.Debug("a worker does not tell its metrics", "name", m.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			families = append(families, theirs...)
		})
	}
	asked.Wait()
	return merged(families), err
}

// ask gets the metrics of a worker.
func (n *Node) ask(ctx context.Context, m cluster.Member) (families []*dto.MetricFamily, err error) {
	answer, err := n.options.Bus.Request(ctx, metricsSubject(m.UID), nil)
	if err != nil {
		return nil, err
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(answer), expfmt.NewFormat(expfmt.TypeProtoDelim))
	label := &dto.LabelPair{Name: new("worker"), Value: &m.Name}
	for {
		family := &dto.MetricFamily{}
		switch err := decoder.Decode(family); {
		case errors.Is(err, io.EOF):
			return families, nil
		case err != nil:
			return nil, fmt.Errorf("its answer: %w", err)
		}
		for _, metric := range family.GetMetric() {
			metric.Label = append(metric.Label, label)
		}
		families = append(families, family)
	}
}

// merged joins families of the same name and type.
func merged(families []*dto.MetricFamily) []*dto.MetricFamily {
	slices.SortStableFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	all := families[:0]
	for _, family := range families {
		if last := len(all) - 1; last >= 0 && all[last].GetName() == family.GetName() {
			if all[last].GetType() == family.GetType() {
				all[last].Metric = append(all[last].Metric, family.GetMetric()...)
			}
			continue
		}
		all = append(all, family)
	}
	return all
}
