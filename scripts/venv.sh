# Sourced by scripts/demo and scripts/test: makes .venv and installs offing once per change of its requirements.
# OFFING_EXTRAS adds optional parts, for example OFFING_EXTRAS=land,dev.
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "offing needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11." >&2
  exit 2
}
extras=${OFFING_EXTRAS:-}
stamp="$(cat pyproject.toml constraints.txt | cksum) $extras"
if [ ! -f .venv/offing-stamp ] || [ "$(cat .venv/offing-stamp)" != "$stamp" ]; then
  echo "Making .venv and installing offing${extras:+ with $extras} (several GB the first time; takes some minutes) ..."
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".${extras:+[$extras]}"
  echo "$stamp" > .venv/offing-stamp
fi
