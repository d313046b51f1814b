#!/bin/sh
# Has a compiler look for errors in the engine's sources without running them: whatever it reports is an error.
#
# usage: analyze.sh COMPILER FOLDER, which has base_table.h
set -eu
compiler=$1
options="-I sphinx/native -I $2 -Werror -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wundef -Wvla -Wcast-qual
  -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes"

# What cffi writes is not looked at: it is the same for all, and theirs to mend.
for source in sphinx/native/*.c; do
  case $compiler in
  *clang*)
    # shellcheck disable=SC2086 # many options
    "$compiler" -O1 $options -fsyntax-only "$source"
    # Packages of checkers, as single ones change their names. The one left out asks for functions that glibc has not.
    # A path that goes round a loop more than 4 times ends there, if not told: too soon for limbs and words.
    # shellcheck disable=SC2086 # many options
    "$compiler" -O1 $options --analyze --analyzer-output text -Xclang -analyzer-werror \
      -Xclang -analyzer-max-loop -Xclang 40 \
      -Xclang -analyzer-checker=security,nullability,optin.portability,alpha.core,alpha.security,alpha.unix \
      -Xclang -analyzer-disable-checker=security.insecureAPI.DeprecatedOrUnsafeBufferHandling "$source"
    ;;
  *)
    # gcc looks at what its optimizers leave: with them it takes many minutes, and what they take apart for unset. Only
    # x25519_adx.c is empty without.
    case $source in
    */x25519_adx.c) level=-O1 ;;
    *) level=-O0 ;;
    esac
    # shellcheck disable=SC2086 # many options
    "$compiler" $level $options -fanalyzer -c "$source" -o /dev/null
    ;;
  esac
done
