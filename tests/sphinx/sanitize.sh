#!/bin/sh
# Tests the engine as another compiler builds it, warnings and what its analyzer finds being errors, in a copy of the
# packages.
#
# usage: sanitize.sh PYTHON COMPILER [SANITIZER OPTION]
set -eu
python=$(realpath -s "$1") compiler=$2 sanitize=${3:-}
tree=build/sanitize/$compiler

if ! command -v "$compiler" >/dev/null; then
  echo "$compiler is not installed; on Debian: apt-get install $compiler" >&2
  exit 1
fi
rm -rf "$tree"
mkdir -p "$tree"
cp -r sphinx pki arq kpclientd tests pyproject.toml README.md LICENSE "$tree"
cd "$tree"
rm -f sphinx/native/*.so

CC=$compiler CFLAGS="-Werror -g ${sanitize:+$sanitize -fno-sanitize-recover=all}" LDSHARED="$compiler -shared $sanitize" \
  "$python" -c 'import setuptools; setuptools.setup()' --quiet build_ext --inplace
test -f sphinx/native/_engine.abi3.so # which is optional for the build, but not here

tests/sphinx/analyze.sh "$compiler" "$(dirname "$(find build -name base_table.h)")"

# What this processor may be unable to run is tested by a model of its instructions.
if [ "$(uname -m)" = x86_64 ]; then
  # shellcheck disable=SC2086 # no option is no argument
  "$compiler" -O1 -Wall -Wextra -Werror -msse4.1 -msha $sanitize -I sphinx/native \
    tests/sphinx/sha256_ni_model.c sphinx/native/sha256_portable.c -o sha256_ni_model
  ./sha256_ni_model
fi

# Calls leave nothing on the stack.
"$compiler" -O3 -Wall -Wextra -Werror -I sphinx/native -I "$(dirname "$(find build -name base_table.h)")" \
  tests/sphinx/stack_left.c sphinx/native/*.c -o stack_left
for engine in portable aes-ni; do
  ./stack_left $engine
done

# Secrets must steer nothing: neither branches nor addresses.
if command -v valgrind >/dev/null; then
  # valgrind's reader wants DWARF 4 of clang.
  "$compiler" -O3 -gdwarf-4 -Wall -Wextra -Werror -I sphinx/native -I "$(dirname "$(find build -name base_table.h)")" \
    tests/sphinx/secrets_flow.c sphinx/native/*.c -o secrets_flow
  for engine in portable aes-ni; do
    valgrind --quiet --error-exitcode=1 --suppressions=tests/sphinx/secrets_flow.supp ./secrets_flow $engine
  done
else
  echo "valgrind is not installed: the flow of secrets is not tested" >&2
fi

# The interpreter itself is built without, and keeps memory until it ends.
if [ -n "$sanitize" ]; then
  LD_PRELOAD=$("$compiler" -print-file-name=libasan.so)
  ASAN_OPTIONS=detect_leaks=0
  export LD_PRELOAD ASAN_OPTIONS
fi
cd tests/sphinx
exec "$python" -m pytest --quiet -p no:cacheprovider --numprocesses=0 \
  test_native_*.py test_wycheproof.py test_engines_agree.py test_key_tables.py test_aez.py test_engines.py test_packet_properties.py test_packet_rejects.py test_packet_vectors.py
