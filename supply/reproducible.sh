#!/bin/sh
# Builds the shipped programs twice, in two folders whose names differ in length, the
# second time with an empty build cache unless CACHED is set, and compares them bit for
# bit. Other targets of make than "build agent" can be given.
set -eu
here=$(mktemp -d)
trap 'chmod -R u+w "$here"; rm -rf "$here"' EXIT
trap 'exit 1' INT TERM
targets=${*:-build agent}
for copy in one another-with-a-longer-name; do
	mkdir "$here/$copy"
	git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - | tar -xf - -C "$here/$copy"
	if [ -d node_modules ]; then cp -R node_modules "$here/$copy"; touch "$here/$copy/node_modules"; fi
	if [ "$copy" = one ] || [ -n "${CACHED:-}" ]; then cache=$(go env GOCACHE); else cache=$here/cache; fi
	echo "Building $targets in a folder named $copy."
	GOCACHE=$cache make -s -C "$here/$copy" $targets
	(cd "$here/$copy/bin" && find . -type f -exec sha256sum {} + | sort -k 2) > "$here/$copy.sums"
done
if ! diff "$here/one.sums" "$here/another-with-a-longer-name.sums"; then
	echo "The two builds differ." >&2
	exit 1
fi
cat "$here/one.sums"
echo "The two builds are the same, bit for bit."
