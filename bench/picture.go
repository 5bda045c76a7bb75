package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	plotWidth, plotHeight = 640, 200
	plotLeft, plotTop     = 70, 40
	plotBelow             = 60
)

// A line is a row of figures over the intervals, in a unit of its own.
type line struct {
	name, class string
	values      []float64
}

// picture draws a load as SVG: memory, and under it calls a second. Its colours follow
// the reader's choice of light or dark.
func picture(parts []interval, every time.Duration) string {
	own, resident := line{"own memory", "a", nil}, line{"resident, with pages of files", "b", nil}
	gets, puts := line{"gets a second", "a", nil}, line{"puts a second", "b", nil}
	for _, part := range parts {
		own.values = append(own.values, float64(part.own)/1000)
		resident.values = append(resident.values, float64(part.resident)/1000)
		gets.values = append(gets.values, float64(len(part.gets))/every.Seconds())
		puts.values = append(puts.values, float64(len(part.puts))/every.Seconds())
	}
	const width, height = plotLeft + plotWidth + 30, 2 * (plotTop + plotHeight + plotBelow)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Memory and calls a second over time">
<style>
text { font: 12px sans-serif; fill: #444 } .title { font-weight: bold }
.grid { stroke: #8884 } path { fill: none; stroke-width: 2 }
path.a { stroke: #0969da } text.a { fill: #0969da } path.b { stroke: #bc4c00 } text.b { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
  text { fill: #ccc } path.a { stroke: #58a6ff } text.a { fill: #58a6ff } path.b { stroke: #f0883e } text.b { fill: #f0883e }
}
</style>
`, width, height)
	plot(&b, 0, "Memory, MB", every, own, resident)
	plot(&b, height/2, "Calls a second", every, gets, puts)
	b.WriteString("</svg>\n")
	return b.String()
}

// plot draws lines that have one axis.
func plot(b *strings.Builder, top int, title string, every time.Duration, lines ...line) {
	highest := 0.0
	for _, l := range lines {
		for _, v := range l.values {
			highest = max(highest, v)
		}
	}
	highest = roundUp(highest)
	top += plotTop
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"%d\">%s</text>\n", plotLeft, top-15, title)
	for i := range 5 {
		y := top + plotHeight*i/4
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%[2]d\"/>", plotLeft, y, plotLeft+plotWidth)
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", plotLeft-8, y+4, thousands(int(highest*float64(4-i)/4)))
	}
	for i, l := range lines {
		draw(b, top, highest, l)
		fmt.Fprintf(b, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", l.class, plotLeft+i*220, top+plotHeight+40, l.name)
	}
	n := len(lines[0].values)
	for i := 0; i < n; i += max(n/6, 1) {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", across(i, n), top+plotHeight+18, every*time.Duration(i+1))
	}
}

func draw(b *strings.Builder, top int, highest float64, l line) {
	fmt.Fprintf(b, "<path class=\"%s\" d=\"", l.class)
	for i, v := range l.values {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(b, "%s%d %.1f", command, across(i, len(l.values)), float64(top)+plotHeight*(1-v/highest))
	}
	b.WriteString("\"/>\n")
}

// across is where the ith of n intervals is.
func across(i, n int) int { return plotLeft + plotWidth*i/max(n-1, 1) }

// roundUp is the next 1, 2, 4 or 8 with zeros: four parts of it are whole numbers.
func roundUp(v float64) float64 {
	if v <= 4 {
		return 4
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 4, 8} {
		if v <= step*ten {
			return step * ten
		}
	}
	return 10 * ten
}
