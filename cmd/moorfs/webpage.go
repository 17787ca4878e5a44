package main

import (
	"html/template"
	"net/http"
)

// statusPage is the page at /: the same text as moorfs status.
var statusPage = template.Must(template.New("status").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>moorfs {{.Source}}</title>
<style>body{font:16px sans-serif;margin:2em;max-width:70em}pre{background:#f4f4f4;padding:1em;overflow:auto}.bad{color:#b00}</style></head>
<body>
<h1>{{.Source}}</h1>
<p>{{if .Problem}}<strong class="bad">{{.Problem}}</strong>{{else}}The mount answers.{{end}}</p>
<pre>{{.Text}}</pre>
<p><a href="/metrics">metrics</a> · <a href="/status">status as JSON</a> · <a href="/healthz">health</a></p>
</body></html>
`))

func (w *webServer) page(out http.ResponseWriter, r *http.Request) {
	view := struct{ Source, Problem, Text string }{Source: w.live.reg.Source}
	if err := w.live.healthy(r.Context()); err != nil {
		view.Problem = oneLine(err)
	}
	s, err := w.report(r.Context())
	if err != nil {
		view.Problem = oneLine(err)
	} else {
		view.Text = statusReport{Mounts: []mountReport{s.report()}}.text()
	}
	out.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := statusPage.Execute(out, view); err != nil {
		w.live.log.Debug("http", "error", err)
	}
}
