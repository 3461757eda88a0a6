#!/bin/bash
# setup.sh VENV PYTHON: make the virtual environment and install stackroll and its locked dependencies into it.
set -euo pipefail
venv=$1 python=$2
if [ ! -x "$venv/bin/python" ]; then
  if ! "$python" -m venv "$venv" 2>/dev/null; then
    # Debian splits venv off the interpreter's package.
    apt-get update -q && apt-get install -y -q python3-venv
    rm -rf "$venv"
    "$python" -m venv "$venv"
  fi
fi
"$venv/bin/pip" install -q --disable-pip-version-check "$(grep -m1 -o '^uv==[^ ;]*' requirements-dev.txt)"
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --require-hashes --requirement requirements-dev.txt
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --editable .
