"""Pictures of results: charts as SVG for pages and files, and one PNG for `data inspect`."""
