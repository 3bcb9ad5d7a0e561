"""Lists what the production image holds: packages with their licences, and the libraries inside their wheels.

Run as ``python -m tests.image_packages > config/IMAGE.md`` (``make licences``) after the lock file has changed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "config" / "Dockerfile"
PLAIN_LICENCES: Mapping[str, str] = {
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
}
"""Words of older metadata -> SPDX."""
EXPORT = [
    "export",
    "--frozen",
    "--no-dev",
    "--no-emit-project",
    "--no-hashes",
    "--no-header",
    "--no-annotate",
    "--quiet",
]
GPL, LGPL2, LGPL3 = "GPL-2.0-or-later", "LGPL-2.1-or-later", "LGPL-3.0-or-later"
LIBRARIES: Mapping[str, str] = {
    "avcodec avdevice avfilter avformat avutil swresample swscale": LGPL3,
    "x264 x265": GPL,
    "mp3lame asound keyutils crypt": LGPL2,
    "gmp hogweed nettle unistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "gnutls": LGPL2,
    "opencore-amrnb opencore-amrwb ssl crypto": "Apache-2.0",
    "SvtAv1Enc dav1d avif opus vpx sharpyuv webp webpdemux webpmux": "BSD",
    "openjp2 openjpeg sasl2 zstd": "BSD",
    "Xau drm vpl xcb xcb-shape xcb-shm xcb-xfixes brotlicommon brotlidec harfbuzz lcms2": "MIT",
    "com_err gssapi_krb5 k5crypto krb5 krb5support": "MIT",
    "freetype": "FTL OR GPL-2.0-only",
    "jpeg": "IJG AND BSD-3-Clause",
    "lber ldap": "OLDAP-2.8",
    "lzma": "0BSD",
    "png16": "libpng-2.0",
    "pq": "PostgreSQL",
    "tiff": "libtiff",
}
"""Names of libraries -> their licence, by their own sites (read 2026-11-27)."""
HEAD = """\
# What the image holds

`make licences` writes this page. The image has the same list as a CycloneDX document, with hashes and dependencies:
`docker run --rm --entrypoint cat slipway:{version} /app/sbom.cdx.json`; without an image: `make sbom`.

**The image contains GPL code.** PyAV's wheel brings FFmpeg {ffmpeg}, linked with libx264 and libx265, which are
{gpl}. FFmpeg says of itself "{lgpl}"; linked with them it is under the GPL as a whole.
Slipway uses it to read media, in processes that do nothing else (`pipeline/media/probe`), and never to encode. The GPL
asks something of those who pass copies on, not of those who run one: if you pass the image on, offer the sources of
these libraries too. Without them: build PyAV against an FFmpeg of your own, configured without `--enable-libx264` and
`--enable-libx265` (`uv sync --no-binary-package av`, with that FFmpeg's headers).

psycopg is LGPL-3.0-only, psycopg-binary LGPL-3.0-only, certifi MPL-2.0: used unchanged, as packages that can be
replaced. The base, `{base}`, is Debian with CPython (PSF-2.0); its packages have their licences in
`/usr/share/doc/*/copyright`.

"""


def list_packages() -> list[tuple[str, str, str]]:
    """Return name, version and licence of each package that the image installs, by the lock file."""
    exported = subprocess.run(
        [
            Path(sys.executable).with_name("uv"),
            *EXPORT,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wanted = (Requirement(line) for line in exported.splitlines())
    return [
        (one.name, str(one.specifier).removeprefix("=="), find_licence(one.name))
        for one in wanted
        if one.marker is None or one.marker.evaluate(_describe_image())
    ]


def find_licence(name: str) -> str:
    """Return the licence that an installed package states, as SPDX where its words are known."""
    found = metadata(name)
    if "License-Expression" in found:
        return found["License-Expression"]
    classifiers = [
        str(line).rpartition(" :: ")[2]
        for line in found.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    stated = classifiers or [found["License"].partition("\n")[0]]
    return " OR ".join(PLAIN_LICENCES.get(words, words) for words in stated)


def list_libraries(packages: Sequence[str]) -> dict[str, list[str]]:
    """Return package -> names of the shared libraries inside its wheel, without version and hash."""
    site = Path(sysconfig.get_path("platlib"))
    found = {}
    for package in packages:
        folder = site / f"{package.replace('-', '_')}.libs"
        if folder.is_dir():
            names = (re.sub(r"^lib|(-[0-9a-f]{8})?\.so.*$", "", path.name) for path in folder.iterdir())
            found[package] = sorted(set(names))
    return found


def find_library_licence(name: str) -> str:
    """Return the licence of a library. Raises LookupError for an unknown one."""
    for names, licence in LIBRARIES.items():
        if name in names.split():
            return licence
    raise LookupError(f"The licence of lib{name} is not in tests/image_packages.py.")


def build_page() -> str:
    """Return the text of config/IMAGE.md."""
    import tomllib

    import av._core

    packages = list_packages()
    head = HEAD.format(
        version=tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        ffmpeg=av._core.ffmpeg_version_info,
        gpl=GPL,
        lgpl=av._core.library_meta["libavcodec"]["license"],
        base=re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)[-1],
    )
    by_licence: dict[str, list[str]] = {}
    for name, version, licence in packages:
        by_licence.setdefault(licence, []).append(f"{name} {version}")
    rows = [f"| {licence} | {', '.join(held)} |\n" for licence, held in sorted(by_licence.items())]
    libraries = list_libraries([name for name, _, _ in packages])
    inside = [
        f"| {package} | {licence} | {', '.join(held)} |\n"
        for package, names in libraries.items()
        for licence, held in _group_by_licence(names).items()
    ]
    return "".join(
        [
            head,
            "## Packages\n\n| licence | packages |\n|---|---|\n",
            *rows,
            "\n## Libraries inside wheels (x86-64)\n\n| package | licence | libraries |\n|---|---|---|\n",
            *inside,
        ]
    )


def _group_by_licence(libraries: Sequence[str]) -> dict[str, list[str]]:
    """Return licence -> the names of the libraries under it."""
    found: dict[str, list[str]] = {}
    for name in libraries:
        found.setdefault(find_library_licence(name), []).append(name)
    return dict(sorted(found.items()))


def _describe_image() -> dict[str, str]:
    """Return the environment that markers are evaluated for: the image's Python."""
    [version] = set(re.findall(r"^FROM python:(\d+\.\d+\.\d+)", DOCKERFILE.read_text(), re.MULTILINE))
    return {
        "python_full_version": version,
        "python_version": version.rpartition(".")[0],
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


if __name__ == "__main__":
    sys.stdout.write(build_page())
