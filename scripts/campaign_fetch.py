"""Kill a fetch at many random instants and hold the cache to its promises each time; the suite does ten of these.

Prints one JSON object and ends with 1 if a promise was broken: an entry that is not whole, pixels that differ from
those of a fetch left alone, a tile fetched again after its entry was complete.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.kill_fetch import kill_once  # noqa: E402  # the root must be on the path first


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="how many (default 100, about 1.2 s each)")
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first; the suite's are 0 to 9")
    parser.add_argument("--out", type=Path, help="folder that gets fetch.json too")
    options = parser.parse_args()
    started, killed, broken = time.monotonic(), [], []
    for seed in range(options.seed, options.seed + options.kills):
        with tempfile.TemporaryDirectory(prefix="offing-kill-") as folder:
            try:
                killed.append(kill_once(Path(folder), seed))
            except AssertionError as error:
                broken.append({"seed": seed, "what": str(error)})
                print(f"seed {seed}: {error}", file=sys.stderr)
    complete = [k.complete for k in killed]
    summary = {
        "kills": options.kills,
        "first_seed": options.seed,
        "broken": broken,
        "killed_before_any_tile": sum(c == 0 for c in complete),
        "killed_half_way": sum(0 < c < 20 for c in complete),
        "killed_after_the_last_tile": sum(c == 20 for c in complete),
        "different_instants": len({(k.reads_before, k.complete) for k in killed}),
        "unfinished_files_left": sum(k.leftovers for k in killed),
        "tiles_kept": sum(complete),
        "tiles_fetched_after": sum(k.reads_after for k in killed),
        "seconds": round(time.monotonic() - started, 1),
    }
    text = json.dumps(summary, indent=1)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "fetch.json").write_text(text + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
