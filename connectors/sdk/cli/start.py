"""`alliance connector init`, `new` and `about`: beginnings."""

from __future__ import annotations

import base64
import getpass
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, Literal

import typer

from connectors.sdk.cli import about, init, scaffold
from connectors.sdk.cli.common import JSON, fail, print_json
from connectors.sdk.contract import ConfigError
from connectors.sdk.discovery import Kind, kinds
from schemas.members import Alliance, AllianceFileError, load_alliance
from schemas.signing import Signer, load_signer, new_signer

_FORMATS = ("text", "markdown", "json")


def register(app: typer.Typer) -> None:
    """Add these commands to `alliance connector`."""
    app.command("init")(init_command)
    app.command("new")(new_command)
    app.command("about")(about_command)


def init_command(
    folder: Path = typer.Argument(help="Folder to make.", metavar="DIR"),
    member: str | None = typer.Option(None, help="Our code in the alliance."),
    source: str | None = typer.Option(None, help="Kind of system to read from, or none."),
    sink: str | None = typer.Option(None, help="Kind of system to bring things to, or none."),
    bootstrap: str | None = typer.Option(None, help="The hub's broker, host:port."),
    alliance: Path | None = typer.Option(
        None, help="alliance.toml: the members and their public keys."
    ),
    keys: Path | None = typer.Option(
        None, help="Folder of our keys; one is made where there is none."
    ),
    events: str | None = typer.Option(
        None, help="Types of events to tell of, with commas between; or all."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Ask nothing; defaults for the rest."),
    as_json: bool = JSON,
) -> None:
    """Ask what is needed and write a campus's folder: configuration, mappings, code tables, cases, a unit, a compose snippet.

    Example: alliance connector init my-campus --member 10611 --bootstrap hub.example:9093 --alliance alliance.toml --keys keys
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder}: is there already and not empty; name another folder")
        alliance_file = Path(_asked("alliance.toml", alliance, "alliance.toml", yes=yes))
        known = _alliance(alliance_file)
        answers = init.Answers(
            member=_asked(f"member ({', '.join(sorted(known.members))})", member, None, yes=yes),
            source=_kind("source", "read from", source, "http_poll", yes=yes),
            sink=_kind("sink", "bring things to", sink, "http_push", yes=yes),
            bootstrap=_asked("the hub's broker", bootstrap, "127.0.0.1:9092", yes=yes),
            alliance=alliance_file,
            keys=Path(_asked("folder of our keys", keys, str(alliance_file.parent / "keys"), yes=yes)),
            events=_events(_asked("events to tell of", events, ",".join(init.EVENTS), yes=yes)),
        )  # fmt: skip
        prepared = init.prepare(folder, answers, known, _machine())
        init.write(folder, prepared, lambda: base64.b64encode(secrets.token_bytes(32)).decode())
        made = _key(answers)
    except ConfigError as error:
        fail(error)
    except OSError as error:
        fail(ConfigError(f"{error.filename}: {error.strerror}; name another folder"))
    if as_json:
        print_json(_written(folder, prepared, made))
        return
    _next_steps(folder, prepared)
    if made is not None:
        _tell_key(answers, made)


def _asked(what: str, given: object, default: str | None, *, yes: bool) -> str:
    """What was given, or else the answer of a person. Raises `ConfigError` where there is neither answer nor default."""
    if given is not None:
        return str(given)
    if yes:
        if default is None:
            raise ConfigError(f"{what.partition(' ')[0]}: has no default; give it as an option")
        return default
    try:
        return str(typer.prompt(what, default=default))
    except typer.Abort:
        raise ConfigError("nobody answers here; give all options, or --yes for defaults") from None


def _kind(
    direction: Literal["source", "sink"], what: str, given: str | None, default: str, *, yes: bool
) -> str:
    if given is None and not yes:
        for kind in init.choices(direction):
            print(f"  {kind.name:12} {about.summary(kind)}")
        print(f"  {init.NONE:12} nothing to {what}")
    return _asked(f"kind of system to {what}", given, default, yes=yes)


def _events(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))


def _alliance(path: Path) -> Alliance:
    if not path.exists():
        raise ConfigError(
            f"--alliance: {path} is not there; name the file that the hub's operators give to all members"
        )
    try:
        return load_alliance(path)
    except AllianceFileError as error:
        raise ConfigError(str(error)) from error


def _machine() -> init.Machine:
    found = shutil.which("alliance") or str(Path(sys.executable).with_name("alliance"))
    return init.Machine(str(Path(found).absolute()), getpass.getuser(), os.getuid(), os.getgid())


def _key(answers: init.Answers) -> Signer | None:
    """Our private key, made where there is none; None when it was there."""
    path = answers.keys / f"{answers.member}.key"
    if path.exists():
        return None
    answers.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    init.write_secret(path, new_signer().pem())
    return load_signer(path)


def _written(folder: Path, prepared: init.Prepared, made: Signer | None) -> dict[str, Any]:
    """What was made. `publicKey` (base64) is for the hub's operators, null where the key was there before."""
    public = None if made is None else base64.b64encode(made.public).decode()
    return {
        "folder": str(folder),
        "files": sorted([*prepared.files, *prepared.secrets]),
        "edits": [{"line": number, "text": line} for number, line in prepared.edits()],
        "publicKey": public,
    }


def _next_steps(folder: Path, prepared: init.Prepared) -> None:
    print(f"wrote {len(prepared.files)} files to {folder}")
    edits = prepared.edits()
    if edits:
        print(f"{len(edits)} lines of {folder / 'connector.toml'} are yours to edit:")
        for number, line in edits:
            print(f"  {number:3}  {line.partition('#')[0].rstrip()}")
    print(
        f"then: alliance connector lint {folder}; alliance connector check {folder}; alliance connector dry-run {folder}"
    )


def _tell_key(answers: init.Answers, signer: Signer) -> None:
    public = base64.b64encode(signer.public).decode()
    print(
        f"made {answers.keys / f'{answers.member}.key'}: keep it, and send its public half to the hub's operators, who add it "
        f'to alliance.toml below member {answers.member}:\n  [[member.key]]\n  public = "{public}"'
    )


def about_command(
    name: str = typer.Argument("", help="A kind; all of them if left out.", metavar="KIND"),
    form: str = typer.Option("text", "--format", help="text, markdown or json."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """List the kinds of systems, or tell what one is: its options with types, defaults and meaning.

    Example: alliance connector about http_poll --format markdown
    """
    form = "json" if as_json else form
    try:
        found = kinds()
    except ConfigError as error:
        fail(error)
    if form not in _FORMATS:
        fail(ConfigError(f"--format: found {form!r}; write one of {', '.join(_FORMATS)}"))
    if name and name not in found:
        fail(ConfigError(f"no kind {name!r}; write one of {', '.join(sorted(found))}"))
    if not name:
        _list([found[one] for one in sorted(found)], form)
    elif form == "json":
        print_json(about.described(found[name]))
    elif form == "markdown":
        print(about.markdown(found[name]))
    else:
        _describe(found[name])


def _list(found: list[Kind], form: str) -> None:
    if form == "json":
        print_json(
            [
                {"name": k.name, "directions": about.directions(k), "summary": about.summary(k)}
                for k in found
            ]
        )
        return
    if form == "markdown":
        print("| kind | goes as | what it is |\n|---|---|---|")
    for kind in found:
        if form == "markdown":
            print(f"| `{kind.name}` | {about.directions(kind)} | {about.summary(kind)} |")
        else:
            print(f"{kind.name:12} {about.directions(kind):16} {about.summary(kind)}")


def _describe(kind: Kind) -> None:
    print(f"{kind.name}: {about.summary(kind)}")
    for direction in ("source", "sink"):
        if about.model_of(kind, direction) is None:
            continue
        print(f"\nas {direction}:")
        for one in about.options_of(kind, direction):
            default = "required" if one.default is None else f"default {one.default}"
            print(f"  {one.name} ({one.type}; {default})\n      {one.meaning}")


def new_command(
    system: str = typer.Argument(help="Name of the kind: small letters, digits and _."),
    out: Path | None = typer.Option(None, "--out", help="Folder to make; connector-SYSTEM here if left out."),
    as_json: bool = JSON,
) -> None:  # fmt: skip
    """Write a package of a kind of your own, ready to be installed: source, sink, README, conformance campus and tests.

    Example: alliance connector new mysis; its README leads on, as does connectors/TUTORIAL.md.
    """
    folder = out or Path(f"connector-{system.replace('_', '-')}")
    try:
        written = scaffold.write(folder, system)
    except ConfigError as error:
        fail(error)
    if as_json:
        print_json({"folder": str(folder), "files": [str(path) for path in written]})
    else:
        print(f"wrote {len(written)} files to {folder}; next: {folder / 'README.md'}")
