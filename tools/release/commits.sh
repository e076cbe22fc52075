#!/usr/bin/env bash
# Makes the two commits of a release on top of the one that is checked out, and tags the second.
#
#     tools/release/commits.sh VERSION OWNER/REPOSITORY IMAGE@DIGEST FOLDER-WITH-TARBALLS
#
# The first names the image by its digest in action.yml, and the binaries by theirs in setup/SHA256SUMS.
# The second pins the first in the reusable workflows, which cannot say `uses: ./` of the repository they
# are in: there, `./` is the caller's. Only the tag points at them; main goes on without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$1 repository=$2 image=$3 tarballs=$4
placeholder='OWNER/switchback@0000000000000000000000000000000000000000 # set by the release'

fail() {
    echo "commits.sh: $1" >&2
    exit 1
}

[[ $repository =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] || fail "\`$repository\` is no OWNER/REPOSITORY"
[[ $image =~ ^[a-z0-9./_-]+@sha256:[0-9a-f]{64}$ ]] || fail "\`$image\` is no image with a digest"
tools/release/notes.sh "$version" >/dev/null
test -z "$(git status --porcelain)" || fail "the checkout has changes"

# replace FILE OLD NEW: every OLD in a file, which must hold at least one.
replace() {
    grep -qF -- "$2" "$1" || fail "$1 does not hold \`$2\`"
    OLD=$2 NEW=$3 perl -pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/g' "$1"
}

commit() {
    git -c user.name='github-actions[bot]' \
        -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
        commit --quiet --all --message "$1"
}

replace action.yml '  image: Dockerfile' "  image: docker://$image"
{
    echo "# https://github.com/$repository/releases/download/v$version"
    (cd "$tarballs" && sha256sum -- "switchback-$version"-*-linux.tar.gz)
} >setup/SHA256SUMS
commit "Release $version: name the image and the binaries by digest"

pinned=$(git rev-parse HEAD)
for workflow in .github/workflows/deploy.yml .github/workflows/rollback.yml; do
    replace "$workflow" "$placeholder" "$repository@$pinned # v$version"
done
# What people copy names this repository and this release.
for page in README.md docs/github.md .github/workflows/deploy.yml .github/workflows/rollback.yml; do
    OLD=OWNER/switchback NEW=$repository perl -pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/g; s/\@vX\.Y\.Z/\@v'"$version"'/g' "$page"
done
commit "Release $version: pin the action in the reusable workflows"
git tag "v$version"
echo "v$version is $(git rev-parse HEAD), whose workflows run $pinned"
