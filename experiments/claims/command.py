"""What `python -m experiments claims` does."""

import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import UserError, nearest
from ..files import SEAL, digest, json_bytes, make_folder, read_json, set_aside, write_json
from ..names import CHECKOUT, program
from ..pages.drawing import saved
from ..pages.showing import show_page
from ..progress import shown_on
from ..run.provenance import provenance
from ..runtime import prepare_jax
from .drawing import headed
from .lock import refusal, rules_of, write_lock
from .page import write_claims
from .publish import finished, made_elsewhere, read_result, standing
from .publish import publish as publish_claims
from .record import Claim, Request, shown, verdict_record
from .registry import CLAIMS

LARGEST_SEED = 400_000  # the last seed of a run has to stay below 2**32


def claims_command(
    ids: Sequence[str],
    quick: bool,
    seed: int,
    out: Path,
    fresh: bool,
    console: Console,
    publish: bool = False,
    lock: bool = False,
) -> int:
    """Measure claims, write a verdict and a figure for each, then the table and the page; or publish what is there.

    Args:
      ids: claims; all of them if none is given.
      quick: fewer seeds.
      seed: moves every seed of the run.
      out: folder of all claims.
      fresh: measure again what has a verdict.
      console: where the table goes.
      publish: measure nothing; copy finished claims into the gallery and write the README's answer from them.
      lock: measure nothing; write the hashes of all rules into rules.lock.

    Returns:
      0, whatever the verdicts are.

    Raises:
      UserError: an unknown id, a seed out of range, a folder that cannot be written, or claims not fit to publish.
    """
    if publish or lock:
        word = "--publish" if publish else "--lock"
        if not CHECKOUT:
            raise UserError(f"{word}: expected a git checkout of ce_jax, where verdicts and rules are kept")
        if ids or quick or seed or fresh or (publish and lock):
            raise UserError(f"{word}: takes all claims at once; leave out ids and every other option but --out")
        done = f"the answer: {publish_claims(out, CLAIMS)}" if publish else f"rules: {write_lock(CLAIMS.values())}"
        console.print(done, markup=False, soft_wrap=True)
        return 0
    chosen = _chosen(ids)
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"--seed: expected a whole number from 0 to {LARGEST_SEED}, got {seed}")
    make_folder(out)
    prepare_jax()
    for number, claim in enumerate(chosen, 1):
        folder = out / claim.id
        if not fresh and (stored := finished(claim, folder, quick, seed)):
            known = made_elsewhere(claim, stored) or "finished before"
            console.print(f"{claim.id}: {stored['verdict']}, {known} (measure again with --fresh)", markup=False)
            continue
        _set_damaged_aside(folder, console)
        console.print(Text.assemble((claim.id, "bold"), f" ({number} of {len(chosen)}): {claim.statement}"))
        with shown_on(console) as listener:
            measure(claim, Request(quick, seed, folder / "runs", listener, [], []), fresh)
        measured = finished(claim, folder, quick=False, seed=0)
        if measured and (why := refusal(claim, measured)):
            console.print(f"{claim.id}: --publish would refuse this verdict: {why}", markup=False)
    console.print(table(chosen, out))
    for said in standing(CLAIMS):
        console.print(said, markup=False)
    show_page(write_claims(out), False, console)
    return 0


def _chosen(ids: Sequence[str]) -> list[Claim]:
    for name in ids:
        if name not in CLAIMS:
            raise UserError(f"claims: expected one of {', '.join(CLAIMS)}, got {name!r}{nearest(name, CLAIMS)}")
    return [claim for name, claim in CLAIMS.items() if not ids or name in ids]


def _set_damaged_aside(folder: Path, console: Console) -> None:
    """Keep a verdict that cannot be read back, and say so, before its claim is measured again."""
    if (folder / "verdict.json").exists() and read_result(folder) is None:
        kept = set_aside(folder / "verdict.json")
        console.print(f"damaged, set aside, and measured again: {kept}", markup=False, soft_wrap=True)


def measure(claim: Claim, request: Request, fresh: bool = False) -> dict[str, Any]:
    """Measure one claim and write its folder, `verdict.json` last: it is the marker of a finished claim."""
    folder = request.folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").unlink(missing_ok=True)
    if fresh:
        shutil.rmtree(request.folder, ignore_errors=True)
    begin = time.perf_counter()
    findings = claim.measure(request)
    decided = claim.decide(findings.measurements)
    _, note = saved(lambda: headed(findings.figure, claim.statement, decided), folder, "figure", for_page=True)
    minutes = (time.perf_counter() - begin + sum(request.earlier or ())) / 60
    words = [*program(), "claims", claim.id, "--fresh"]
    words += ["--quick"] * request.quick + ["--seed", str(request.seed)] * bool(request.seed)
    provenance_now = provenance(words, 0.0, 0.0)
    card = {
        "definition": claim.definition,
        "rules": rules_of(claim),
        "seed": request.seed,
        "protocol": claim.protocol,
        "choices": claim.choices,
        "amendments": [one._asdict() for one in claim.amendments],
        "effect": claim.effect,
        "ran": findings.ran,
        "edges": list(request.edges or ()),
        "caption": f"{note} {findings.caption}".strip(),
        "command": shlex.join(words),
        "provenance": {name: provenance_now[name] for name in ("versions", "devices", "platform", "git", "utc")},
    }
    verdict = verdict_record(claim, findings, request.quick, minutes)
    # The verdict comes last, as the marker of a finished claim; its checksum lies in the card.
    write_json(folder / "card.json", card | {SEAL: {"verdict.json": digest(json_bytes(verdict))}})
    write_json(folder / "verdict.json", verdict)
    return verdict


def table(chosen: Sequence[Claim], out: Path) -> Table:
    """One row per claim, as stored."""
    rows = Table(box=None, pad_edge=False)
    for heading in ("id", "statement", "verdict", "effect [95 % interval]", "minutes"):
        rows.add_column(heading, no_wrap=heading in ("id", "verdict"), justify="left")
    for claim in chosen:
        verdict = read_json(out / claim.id / "verdict.json")
        words = verdict["verdict"] + (" (quick)" if verdict["quick"] else "")
        effect = f"{claim.effect}: {shown(verdict['measurements'], claim.effect)}"
        cells = (claim.id, claim.statement, words, effect, f"{verdict['minutes']:.1f}")
        rows.add_row(*map(Text, cells))
    return rows
