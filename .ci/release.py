"""Prepare a release: version, changelog, wheel, sdist, SBOM and checksums in dist/, commit and tag.

    make release VERSION=0.2.0 ARGS=--dry-run

Everything happens in a temporary clone. Only if all steps succeed are the commit and its tag
fetched into this repository, and the files copied to dist/. Nothing is uploaded: pushing the tag
starts .github/workflows/release.yml, which makes the files again, attests and publishes them.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
UNRELEASED = "## [Unreleased]\n"


class ReleaseError(Exception):
    pass


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def parse_version(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise ReleaseError(f"{text!r} is no version: use three numbers, such as 0.2.0")
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


def check_repository(root: Path, version: str) -> None:
    if changes := run("git", "status", "--porcelain", cwd=root):
        raise ReleaseError(f"the working tree has changes: commit or stash them first\n{changes}")
    if run("git", "tag", "--list", f"v{version}", cwd=root):
        raise ReleaseError(f"the tag v{version} exists already: choose a later version")


def copy_author(root: Path, clone: Path) -> None:
    """Configure the clone with the name and the address that the repository commits with."""
    for name in ("user.name", "user.email"):
        try:
            run("git", "config", name, run("git", "config", name, cwd=root), cwd=clone)
        except ReleaseError:
            raise ReleaseError(
                f"git has no {name} for the commit: set it with git config {name} '…'"
            ) from None


def read_version(root: Path) -> str:
    text = (root / "continuum_upstash" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)
    return str(version)


def set_version(root: Path, version: str) -> None:
    path = root / "continuum_upstash" / "__init__.py"
    text = path.read_text()
    old = read_version(root)
    released = run("git", "tag", "--list", f"v{old}", cwd=root)
    if parse_version(version) < parse_version(old) or (version == old and released):
        raise ReleaseError(f"{version} is not later than {old}")
    path.write_text(text.replace(f'__version__ = "{old}"', f'__version__ = "{version}"'))


def date_changelog(root: Path, version: str, date: str) -> None:
    path = root / "CHANGELOG.md"
    before, found, after = path.read_text().partition(UNRELEASED)
    entries = after.partition("\n## [")[0].strip()
    if not found or not entries:
        raise ReleaseError(
            "CHANGELOG.md has no entries under Unreleased: describe the release there"
        )
    path.write_text(f"{before}{UNRELEASED}\n## [{version}] - {date}\n{after}")


def build(root: Path, dist: Path, version: str) -> None:
    """Build the sdist, and the wheel from the sdist, and check both."""
    run(sys.executable, "-m", "build", "--outdir", dist, cwd=root)
    run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=root)
    (wheel,) = dist.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = set(run("git", "ls-files", "continuum_upstash", cwd=root).splitlines())
    if names != tracked:
        raise ReleaseError(f"the wheel differs from the repository in {sorted(names ^ tracked)}")
    if wheel.name.split("-")[1] != version:
        raise ReleaseError(f"{wheel.name} does not have the version {version}")


def write_bill_of_materials(root: Path, dist: Path, version: str) -> None:
    """Install the wheel in a new environment, and list what it contains (CycloneDX)."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder)
        venv.create(environment)
        python = environment / "bin" / "python"
        (wheel,) = dist.glob("*.whl")
        run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel, cwd=root)
        run(
            *(sys.executable, "-m", "cyclonedx_py", "environment", python),
            *("--pyproject", root / "pyproject.toml", "--output-reproducible", "--validate"),
            *("--output-file", dist / f"continuum_upstash-{version}.cdx.json"),
            cwd=root,
        )


def write_checksums(dist: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in sorted(dist.iterdir())
    ]
    (dist / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def write_files(root: Path, dist: Path, version: str) -> None:
    print("wheel and sdist")
    build(root, dist, version)
    print("bill of materials and checksums")
    write_bill_of_materials(root, dist, version)
    write_checksums(dist)
    for path in sorted(dist.iterdir()):
        print(f"  {path.stat().st_size:>9,} bytes  {path.name}")


def prepare(root: Path, version: str, *, dry_run: bool) -> None:
    parse_version(version)
    check_repository(root, version)
    with tempfile.TemporaryDirectory() as folder:
        clone, dist = Path(folder) / "clone", Path(folder) / "dist"
        dist.mkdir()
        run("git", "clone", "--quiet", root, clone, cwd=root)
        copy_author(root, clone)
        print("version and changelog")
        set_version(clone, version)
        date_changelog(clone, version, datetime.now(UTC).date().isoformat())
        run("git", "commit", "--quiet", "--all", "--message", f"Release {version}", cwd=clone)
        run("git", "tag", "--annotate", f"v{version}", "--message", f"Release {version}", cwd=clone)
        write_files(clone, dist, version)
        if dry_run:
            print("dry run: nothing was changed")
            return
        run("git", "pull", "--quiet", "--ff-only", "--tags", clone, "HEAD", cwd=root)
        shutil.copytree(dist, root / "dist", dirs_exist_ok=True)
    print(f"v{version} is tagged; publish it with: git push --follow-tags")


def make_files(root: Path) -> None:
    """Make the files of a commit that is tagged, as the workflow does."""
    version = read_version(root)
    if f"v{version}" not in run("git", "tag", "--points-at", "HEAD", cwd=root).split():
        raise ReleaseError(
            f"this commit is not tagged v{version}: name the version to release, "
            f"such as make release VERSION={version}"
        )
    shutil.rmtree(root / "dist", ignore_errors=True)
    (root / "dist").mkdir()
    write_files(root, root / "dist", version)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare a release; see the head of this file.")
    parser.add_argument("version", nargs="?", help="without it: the files of the tagged commit")
    parser.add_argument("--dry-run", action="store_true", help="change nothing in this repository")
    options = parser.parse_args()
    try:
        if options.version:
            prepare(ROOT, options.version, dry_run=options.dry_run)
        else:
            make_files(ROOT)
    except ReleaseError as error:
        sys.exit(f"no release: {error}")


if __name__ == "__main__":
    main()
