"""How the API's page looks."""

STYLE = """
:root {
  --page: #fff; --side: #f7f9fb; --ink: #1b2430; --soft: #5b6778; --line: #e1e6ed; --code: #f4f6f9;
  --link: #1d4ed8; --get: #2b7a4b; --post: #1d4ed8; --patch: #8a5a00; --delete: #b42323;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10161f; --side: #0c1119; --ink: #e4e9f0; --soft: #9aa7b8; --line: #2a3544; --code: #18202b;
    --link: #8ab4ff; --get: #58b881; --post: #7aa7ff; --patch: #d9b44a; --delete: #f0716b;
  }
}
* { box-sizing: border-box; margin: 0; }
html { scroll-padding-top: 16px; }
body {
  display: grid; grid-template-columns: 260px minmax(0, 1fr); min-height: 100vh;
  background: var(--page); color: var(--ink); font: 14.5px/1.55 system-ui, "Segoe UI", Roboto, sans-serif;
}
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
nav {
  position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 20px;
  background: var(--side); border-right: 1px solid var(--line);
}
nav .home { display: flex; align-items: center; gap: 10px; font-weight: 650; color: var(--ink); }
nav svg { width: 28px; height: 28px; }
nav h2 { margin: 20px 0 4px; font-size: 12.5px; font-weight: 600; color: var(--soft); }
nav ul { list-style: none; padding: 0; }
nav li { padding: 2px 0; font-size: 13.5px; }
main { max-width: 900px; padding: 32px 40px 80px; }
h1 { font-size: 26px; letter-spacing: -.01em; margin-bottom: 12px; }
h1 small { font-size: 14px; font-weight: 500; color: var(--soft); }
main > p { margin-bottom: 10px; }
main > h2 { font-size: 19px; margin: 40px 0 4px; }
section { padding: 18px 0 22px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; font-weight: 600; margin-bottom: 6px; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 58px; font-size: 12.5px; }
h3 i { font-size: 12.5px; font-weight: 500; color: var(--soft); }
.get { color: var(--get); } .post { color: var(--post); }
.patch { color: var(--patch); } .delete { color: var(--delete); }
h4 { margin: 14px 0 4px; font-size: 12.5px; font-weight: 600; color: var(--soft); }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
p code, td code { padding: 1px 4px; background: var(--code); border-radius: 4px; }
pre { padding: 12px 14px; overflow-x: auto; background: var(--code); border-radius: 8px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; }
th, td { padding: 5px 12px 5px 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { width: 190px; font-weight: 500; white-space: nowrap; }
td { width: 35%; }
td[colspan] { width: auto; }
td + td { color: var(--soft); }
@media (max-width: 760px) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 24px 20px 60px; }
}
"""
