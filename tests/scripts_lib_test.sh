#!/usr/bin/env bash
# Tests of scripts/: syntax, help, wrong arguments, and the parts that read a server's stream. Run from the root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
failures=0

# expect NAME WANTED GOT
expect() {
  [[ $2 == "$3" ]] && return 0
  printf 'FAILED %s\n  wanted: %q\n  got:    %q\n' "$1" "$2" "$3"
  failures=$((failures + 1))
}

for script in scripts/run scripts/test scripts/lib.sh .ci/run tools/check_bare_debian.sh tests/*.sh; do
  bash -n "$script" || failures=$((failures + 1))
done
if command -v shellcheck >/dev/null; then
  shellcheck -x scripts/* .ci/run tools/check_bare_debian.sh tests/run_*.sh || failures=$((failures + 1))
else
  echo 'shellcheck is not installed: only the syntax was checked'
fi

expect plain 'Hello' "$(put_json_text 'Hello')"
expect escapes $'a"b\\c/d\ne\tf' "$(put_json_text 'a\"b\\c\/d\ne\tf')"
expect unicode $'\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80' "$(put_json_text '\u00e9 \u20AC \ud83d\ude00')"
expect controls 'a[31mb' "$(put_json_text 'a\u001b[31m\u009b\u007f\bb')"
expect backslashes '\n' "$(put_json_text '\\n')"
expect percent '100%s -n' "$(put_json_text '100%s -n')"
expect locale $'\xc3\xa9\xc3\xa9' "$(LC_ALL=C put_json_text $'\xc3\xa9\\u00e9')"

stream=$'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\r\n\r
data: {"choices":[{"delta":{"content":"One \\"two\\""}}]}\n\ndata: {"choices":[{"delta":{"content": ",\\n3"}}]}\n
data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n'
expect stream $'One "two",\n3' "$(print_answer <<<"$stream")"
status=0
output=$(print_answer <<<'{"error":{"message":"full"}}' 2>&1) || status=$?
expect 'an error gives no text' 1 "$status"
expect 'an error is shown' '{"error":{"message":"full"}}' "$output"
status=0
print_answer </dev/null >/dev/null || status=$?
expect 'nothing gives no text' 1 "$status"

expect missing 'no-such-package-of-weir' "$(missing_packages bash no-such-package-of-weir)"
expect 'packages are named once' '' "$(printf '%s\n' "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" \
  "${OPTIONAL_PACKAGES[@]}" | sort | uniq -d)"

status=0
output=$(scripts/test --nonsense 2>&1) || status=$?
expect 'unknown argument, status' 1 "$status"
expect 'unknown argument' 'weir: error: unknown argument --nonsense; see scripts/test --help' "$output"
expect 'no model' 'weir: error: no/such holds no config.json; set WEIR_MODEL to a Hugging Face directory' \
  "$(WEIR_MODEL=no/such scripts/run 2>&1 || true)"
for script in scripts/run scripts/test; do
  [[ $($script --help) == *"$script "* ]] || failures=$((failures + 1))
done

((failures == 0)) && echo 'all passed'
exit $((failures > 0))
