"""The sign-in page: one file of HTML, nothing loaded from anywhere, light and dark."""

from html import escape
from string import Template
from urllib.parse import quote

from core.web.ui.theme import MARK

PAGE_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_MARK = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{MARK}</svg>'
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · FootprintIQ Hub</title>
<link rel="icon" href="data:image/svg+xml,$icon">
<style nonce="$nonce">
:root {
  --page: #f4f6f9; --card: #fff; --ink: #1b2430; --soft: #5b6778; --line: #d5dce5;
  --blue: #2563eb; --deep: #1d4ed8; --red: #b42323; --pale: #fdecec; --ring: #2563eb40;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0c1119; --card: #141c27; --ink: #e4e9f0; --soft: #9aa7b8; --line: #2f3b4c;
    --blue: #2563eb; --deep: #3b74f0; --red: #ff9a95; --pale: #3a1d20; --ring: #6ea0ff55;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  min-height: 100vh; display: grid; grid-template-rows: 1fr auto; place-items: center; padding: 24px;
  background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif;
}
main {
  width: 100%; max-width: 380px; padding: 36px 32px 32px; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px; box-shadow: 0 12px 32px -18px #0f172a40;
}
svg { display: block; width: 44px; height: 44px; margin-bottom: 20px; }
h1 { font-size: 21px; font-weight: 650; letter-spacing: -.01em; }
h1 + p { color: var(--soft); margin: 4px 0 24px; }
label { display: block; font-size: 13.5px; font-weight: 600; margin: 16px 0 6px; }
input {
  width: 100%; height: 42px; padding: 0 12px; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; outline: none;
}
input:focus { border-color: var(--blue); box-shadow: 0 0 0 3px var(--ring); }
button {
  width: 100%; height: 43px; margin-top: 24px; font: inherit; font-weight: 600; color: #fff; cursor: pointer;
  background: var(--blue); border: 0; border-radius: 8px; outline: none;
}
button:hover { background: var(--deep); }
button:focus-visible { box-shadow: 0 0 0 3px var(--ring); }
.problem {
  padding: 10px 12px; font-size: 14px; color: var(--red); background: var(--pale); border-radius: 8px;
}
footer { color: var(--soft); font-size: 13px; padding-top: 24px; }
</style>
</head>
<body>
<main>
$mark
<h1>FootprintIQ Hub</h1>
<p>Sign in to see your connections</p>
$problem
<form method="post" action="/auth/login">
<input type="hidden" name="next" value="$wanted">
<label for="email">E-mail</label>
<input id="email" name="email" autocomplete="username" required maxlength="254" value="$email"$focus_email>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="1024"
$focus_password>
<button type="submit">Sign in</button>
</form>
</main>
<footer>Forgotten? An admin sets a new one with <code>hub user password</code>.</footer>
</body>
</html>
""")


def sign_in_page(nonce: str, wanted: str, email: str = "", problem: str = "") -> str:
    return _PAGE.substitute(
        nonce=nonce,
        icon=quote(_MARK),
        mark=_MARK,
        wanted=escape(wanted),
        email=escape(email[:254]),
        problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
        focus_email="" if email else " autofocus",
        focus_password="autofocus" if email else "",
    )
