#!/usr/bin/env bash
# Title: `dvc exp run --dry` fails on an up-to-date pipeline of two stages, and claims that an unchanged stage runs.
#
# Versions: DVC 3.67.1, Python 3.10 to 3.12, Git.
#
# Behaviour: in a pipeline a -> b whose outputs are committed and up to date, `dvc exp run --dry -S y=2`, where only b
# depends on y, says that stage a is running, which nothing changed, and ends with an error: b's dependency a.txt is not
# in the temporary folder. `dvc repro --dry`, after the same value was written into params.yaml by hand, says rightly
# that a didn't change and that b would run.
#
# Why a good guess is wrong: one takes `dvc exp run --dry` for `dvc repro --dry` with a parameter set for a moment. But
# --dry quietly implies a temporary workspace, and there nothing is checked out in a dry run: outputs of earlier stages
# are missing, so every stage that reads one can't be decided. A study of several stages can't use it to ask what a
# parameter would touch. The way out: set the value, then `dvc repro --dry` or `dvc status`.
#
# Output seen:
#   exp run --dry: Running stage 'a'; failed to reproduce 'b': no a.txt
#   repro --dry: Stage 'a' didn't change; Running stage 'b'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
bin="$folder/venv/bin"
[ -d "$bin" ] || bin="$folder/venv/Scripts"
"$bin/python" -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$bin:$PATH" DVC_NO_ANALYTICS=1 GIT_CONFIG_GLOBAL="$folder/gitconfig"
git config --global user.name Student
git config --global user.email student@example.org
mkdir "$folder/pipeline"
cd "$folder/pipeline"
git init -q
dvc init -q
cat > dvc.yaml <<'YAML'
stages:
  a:
    cmd: python -c "open('a.txt','w').write('1')"
    params: [x]
    outs: [a.txt]
  b:
    cmd: python -c "open('b.txt','w').write(open('a.txt').read())"
    deps: [a.txt]
    params: [y]
    outs: [b.txt]
YAML
printf 'x: 1\ny: 1\n' > params.yaml
dvc repro -q
git add -A
git commit -qm "up to date"
dvc status | grep -q "up to date" || { echo "the pipeline is not up to date to begin with" >&2; exit 1; }

experiment=$(dvc exp run --dry -S y=2 2>&1) && code=0 || code=$?
git checkout -q params.yaml
printf 'x: 1\ny: 2\n' > params.yaml
repro=$(dvc repro --dry 2>&1)

seen() { grep -q "$2" <<< "$1"; }
if [ "$code" -ne 0 ] && seen "$experiment" "Running stage 'a'" && seen "$experiment" "failed to reproduce 'b'.*a\.txt" &&
  seen "$repro" "Stage 'a' didn't change" && seen "$repro" "Running stage 'b'"; then
  echo "exp run --dry: Running stage 'a'; failed to reproduce 'b': no a.txt"
  echo "repro --dry: Stage 'a' didn't change; Running stage 'b'"
else
  printf 'the behaviour has changed:\n%s\n%s\n' "$experiment" "$repro" >&2
  exit 1
fi
