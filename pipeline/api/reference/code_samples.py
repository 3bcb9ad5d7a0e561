"""Code for a request in curl, Python and TypeScript, as the reference shows it and the tests run it.

The server and the key come from the environment variables ``SLIPWAY_URL`` and ``SLIPWAY_KEY``. The TypeScript needs no
annotations, so that Node runs it as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any
from urllib.parse import urlencode

from pipeline.api.openapi.sample_requests import KEY, URL, SampleRequest, find_sample_request

_WIDTH = 72
"""Characters up to which a value stays on one line."""
_PYTHON = {"true": "True", "false": "False", "null": "None"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    method: str
    path: str
    """With its query; empty if the whole URL is in a variable."""
    headers: Mapping[str, str]
    needs_key: bool
    request: SampleRequest

    @property
    def saves(self) -> bool:
        """Return True if the answer is a file."""
        return bool(self.request.file) and self.method == "GET"


def write_samples(method: str, path: str, operation: Mapping[str, Any]) -> dict[str, str]:
    """Return the code by language, for an operation of the OpenAPI document."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    request = find_sample_request(operation["operationId"], content.get("example"))
    filled = re.sub(r"\{(\w+)\}", lambda name: request.path.get(name[1], name[1]), path)
    headers = {"Content-Type": request.content_type} if request.content_type else {}
    call = _Call(
        method=method,
        path="" if request.url_variable else filled + (f"?{request.query}" if request.query else ""),
        headers=headers,
        needs_key=bool(operation.get("security")),
        request=request,
    )
    return {
        "curl": " \\\n  ".join(_write_curl(call)),
        "Python": "\n".join(_write_python(call)),
        "TypeScript": "\n".join(_write_typescript(call)),
    }


# --- curl ------------------------------------------------------------------------------------------------------------


def _write_curl(call: _Call) -> Iterator[str]:
    """Yield the lines of one command."""
    request = call.request
    has_body = request.body is not None or request.form is not None
    method = (
        f" -X {call.method}"
        if call.method not in {"GET", "POST"} or (call.method == "POST" and not has_body)
        else ""
    )
    url = f"${request.url_variable}" if request.url_variable else f"${URL}{call.path}"
    yield f'curl -sS{method} "{url}"'
    if call.needs_key:
        yield f'-H "Authorization: Bearer ${KEY}"'
    for name, value in call.headers.items():
        yield f'-H "{name}: {value}"'
    if request.body is not None:
        yield '-H "Content-Type: application/json"'
        yield "-d " + quote(_format(request.body))
    if request.form is not None:
        yield f"-d {quote(urlencode(request.form))}"
    if request.file:
        yield f"-o {request.file}" if call.saves else f"--data-binary @{request.file}"


# --- Python ----------------------------------------------------------------------------------------------------------


def _write_python(call: _Call) -> Iterator[str]:
    request = call.request
    yield from ("import os", "", "import requests", "", f"answer = requests.{call.method.lower()}(")
    yield (
        f"    os.environ[{json.dumps(request.url_variable)}],"
        if request.url_variable
        else (f"    os.environ[{json.dumps(URL)}] + {json.dumps(call.path)},")
    )
    headers = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in call.headers.items()]
    if call.needs_key:
        headers.append(f'"Authorization": "Bearer " + os.environ["{KEY}"]')
    if headers:
        yield f"    headers={{{', '.join(headers)}}},"
    if request.body is not None:
        yield f"    json={_format(request.body, _PYTHON, '    ', '    ')},"
    if request.form is not None:
        yield f"    data={_format(request.form)},"
    if request.file and not call.saves:
        yield f'    data=open("{request.file}", "rb"),'
    yield from ("    timeout=30,", ")")
    if call.saves:
        yield f'open("{request.file}", "wb").write(answer.content)'
        yield "print(answer.status_code)"
    else:
        yield "print(answer.status_code, answer.text)"


# --- TypeScript ------------------------------------------------------------------------------------------------------


def _write_typescript(call: _Call) -> Iterator[str]:
    request = call.request
    if request.file:
        yield f'import {{ {"writeFile" if call.saves else "readFile"} }} from "node:fs/promises";'
        yield ""
    url = (
        f"String(process.env.{request.url_variable})"
        if request.url_variable
        else f"process.env.{URL} + {json.dumps(call.path)}"
    )
    options = [*_list_options(call)]
    if options:
        yield f"const answer = await fetch({url}, {{"
        yield from (f"  {option}," for option in options)
        yield "});"
    else:
        yield f"const answer = await fetch({url});"
    if call.saves:
        yield f'await writeFile("{request.file}", Buffer.from(await answer.arrayBuffer()));'
        yield "console.log(answer.status);"
    else:
        yield "console.log(answer.status, await answer.text());"


def _list_options(call: _Call) -> Iterator[str]:
    request = call.request
    if call.method != "GET":
        yield f"method: {json.dumps(call.method)}"
    headers = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in call.headers.items()]
    if call.needs_key:
        headers.append(f"Authorization: `Bearer ${{process.env.{KEY}}}`")
    if request.body is not None:
        headers.append('"Content-Type": "application/json"')
    if headers:
        yield f"headers: {{ {', '.join(headers)} }}"
    if request.body is not None:
        yield f"body: JSON.stringify({_format(request.body, start='  ')})"
    if request.form is not None:
        yield f"body: new URLSearchParams({_format(request.form)})"
    if request.file and not call.saves:
        yield f'body: await readFile("{request.file}")'


def _format(value: Any, words: Mapping[str, str] = {}, step: str = "  ", start: str = "") -> str:
    """Return a JSON value as a literal, short ones on one line. *words*: how the language writes true, false, null."""
    flat = _flatten(value, words)
    if len(flat) <= _WIDTH or not isinstance(value, dict | list):
        return flat
    inner = start + step
    parts = (
        [f"{json.dumps(name)}: {_format(part, words, step, inner)}" for name, part in value.items()]
        if isinstance(value, dict)
        else [_format(part, words, step, inner) for part in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{start}{closing}"


def _flatten(value: Any, words: Mapping[str, str]) -> str:
    if isinstance(value, Mapping):
        parts = ", ".join(f"{json.dumps(name)}: {_flatten(part, words)}" for name, part in value.items())
        return f"{{{parts}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flatten(part, words) for part in value)}]"
    text = json.dumps(value, ensure_ascii=False)
    return words.get(text, text)
