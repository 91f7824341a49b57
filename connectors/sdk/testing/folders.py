"""Folders that tests run connectors in: an alliance with test keys, and a campus."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from connectors.sdk.config import FILE, Config, load_config
from connectors.sdk.testing.log import FakeLog
from connectors.sdk.testing.names import THEM, US
from schemas.signing import Signer, new_signer

if TYPE_CHECKING:
    from connectors.sdk.testing.rig import Case


def write_alliance(
    folder: Path, codes: Sequence[str] = (US, THEM), log: FakeLog | None = None
) -> dict[str, Signer]:
    """An alliance with test keys: `alliance.toml` and `<code>.key` in the folder; with a log, its witnesses too."""
    signers = {code: new_signer(code.encode().ljust(32, b".")) for code in codes}
    text = '[alliance]\nname = "Test"\norigin = "test.example/ledger"\n'
    for code, signer in signers.items():
        (folder / f"{code}.key").write_bytes(signer.pem())
        public = base64.b64encode(signer.public).decode()
        text += (
            f'\n[[member]]\ncode = "{code}"\nname_en = "U{code}"\nname_zh = "U{code}"\nregion = "Sichuan"\n'
            f'city = "-"\ndomain = "u{code}.example"\n[[member.key]]\npublic = "{public}"\n'
        )
        reading = X25519PrivateKey.from_private_bytes(code.encode().ljust(32, b"."))
        (folder / f"{code}.encryption").write_bytes(base64.b64encode(reading.private_bytes_raw()))
        sealing = base64.b64encode(reading.public_key().public_bytes_raw()).decode()
        text += f'[member.encryption]\npublic = "{sealing}"\n'
        if log is not None:
            (folder / f"{code}.witness").write_text(log.witnesses[code].private_text, "ascii")
            text += log.member_table(code)
    text += "" if log is None else log.tables()
    (folder / "alliance.toml").write_text(text, encoding="utf-8")
    return signers


def write_folder(
    folder: Path, case: Case, *, code: str = US, bootstrap: str = "127.0.0.1:1"
) -> Config:
    """A campus folder for a case; the alliance's files are in it, or beside it."""
    folder.mkdir(exist_ok=True)
    files = "." if (folder / "alliance.toml").exists() else ".."
    (folder / "mapping").mkdir(exist_ok=True)
    for name, text in case.mappings.items():
        file = (
            folder / "mapping" / name
        ).resolve()  # a name such as ../codes/mode.csv is a code table
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    head = (
        f'[member]\ncode = "{code}"\nname = "campus"\nkey = {{ file = "{files}/{code}.key" }}\n'
        f'alliance = "{files}/alliance.toml"\n'
        f'[kafka]\nbootstrap = "{bootstrap}"\n'
    )
    (folder / FILE).write_text(f"{head}\n{case.tables}", encoding="utf-8")
    return load_config(folder, {})
