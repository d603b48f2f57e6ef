"""The look of the sandbox's pages, in light and dark; contrast of text is at least 4.5 to 1."""

CSS = """
:root { color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --text: #1b2330; --quiet: #5a6575;
  --line: #dfe3e9;
  --link: #0b57a4; --code: #f0f2f5; --warn-bg: #fff4dc; --warn: #6f4a00;
  --critical: #a3123a; --high: #a63a00; --medium: #7a5700; --low: #0b6b4f; --info: #4a5563; }
@media (prefers-color-scheme: dark) { :root { --bg: #12161c; --card: #1a2029; --text: #e6eaf0;
  --quiet: #a0abba;
  --line: #2d3643; --link: #86bdf7; --code: #232b36; --warn-bg: #3a2f14; --warn: #f5d48a;
  --critical: #ff8fa9; --high: #ffab7d; --medium: #f2cc6b; --low: #6fd6ae; --info: #b4bfcd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0; }
header { margin-bottom: 1.25rem; }
header p { margin: 0 0 .25rem; color: var(--quiet); max-width: 70ch; }
a { color: var(--link); text-underline-offset: .15em; text-decoration-thickness: 1px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.25rem;
  margin-bottom: 1.25rem; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline;
  gap: .25rem 1rem; }
.quiet { color: var(--quiet); font-size: .875rem; margin: .1rem 0; font-variant-numeric: tabular-nums; }
code, pre { font: .86em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--code); border-radius: .4rem; padding: .8rem 1rem; margin: .6rem 0 0;
  white-space: pre-wrap;
  overflow-wrap: anywhere; }
.forms { display: flex; flex-wrap: wrap; gap: .4rem; margin: .8rem 0; }
form { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem; }
label { font-size: .875rem; color: var(--quiet); }
button, select { font: inherit; font-size: .875rem; line-height: 1.3; color: inherit;
  background: var(--code);
  border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .6rem; min-height: 1.9rem; }
button { cursor: pointer; }
button:hover { border-color: var(--quiet); }
.clear { background: var(--warn-bg); color: var(--warn); font-weight: 600; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.faults { list-style: none; margin: .8rem 0 0; padding: .5rem .8rem; border-radius: .4rem;
  background: var(--warn-bg);
  color: var(--warn); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-size: .8rem; font-weight: 600; color: var(--quiet);
  white-space: nowrap; }
th:nth-child(1) { width: 6.5rem; } th:nth-child(2) { width: 6rem; } th:nth-child(4) { width: 24rem; }
th, td { padding: .45rem .9rem .45rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--quiet); }
td:nth-child(3) { min-width: 16rem; overflow-wrap: anywhere; }
td:last-child { overflow-wrap: anywhere; color: var(--quiet); min-width: 11rem; }
.severity { font-weight: 600; white-space: nowrap; }
.critical { color: var(--critical); } .high { color: var(--high); } .medium { color: var(--medium); }
.low { color: var(--low); } .info, .other { color: var(--info); }
.id { font-weight: 600; white-space: nowrap; }
.copy { font-size: .8rem; color: var(--warn); background: var(--warn-bg); border-radius: .3rem;
  padding: .05rem .35rem;
  white-space: nowrap; }
.empty { color: var(--quiet); margin: .6rem 0 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
"""
