#!/usr/bin/env bash
# The main job on one machine: three nodes on loopback found a private swarm, take
# a book and a photograph, count the words of the one and scale the other down on
# whichever of them wins the bid, and hand the results to any of them. `make demo`
# builds what it needs first. Everything it starts ends with it, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

node=$PWD/bin/node
work=$(mktemp -d "${TMPDIR:-/tmp}/shoal-demo.XXXXXX")
results=demo-results
pids=()
step=0
began=$SECONDS

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\033[1m' plain=$'\033[0m'
fi

cleanup() {
	local status=$? p
	trap - EXIT INT TERM HUP
	for p in ${pids[@]+"${pids[@]}"}; do kill -TERM "$p" 2>/dev/null || true; done
	for p in ${pids[@]+"${pids[@]}"}; do
		# A node stops within five seconds; one that does not is ended.
		for _ in $(seq 100); do
			kill -0 "$p" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	if [ "$status" != 0 ] && [ "$status" -lt 128 ]; then
		echo "demo: failed (exit $status). What the nodes said last:" >&2
		tail -n 8 "$work"/*/serve.log >&2 2>/dev/null || true
	fi
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

die() {
	echo "demo: $*" >&2
	exit 1
}

# say TEXT: the next step, for somebody who sees this for the first time.
say() {
	step=$((step + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"
	shift
	[ $# = 0 ] || printf '   %s\n' "$@"
}

# typed NODE ARGS…: shows a command as one would type it there.
typed() {
	local at=$1
	shift
	printf '   %s%s$ node %s%s\n' "$bold" "$at" "$*" "$plain" >&2
}

# on NODE ARGS…: shows the command and runs it.
on() {
	typed "$@"
	ask "$@"
}

# ask NODE ARGS…: the same, unseen.
ask() {
	local at=$1
	shift
	SHOAL_HOME="$work/$at" "$node" "$@"
}

indent() { sed 's/^/   /'; }

taken=' '
# free_port: sets port to one that nothing listens on and that was not given out before.
free_port() {
	for _ in $(seq 200); do
		port=$((20000 + RANDOM % 10000))
		case $taken in *" $port "*) continue ;; esac
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
		taken="$taken$port "
		return
	done
	die "found no free port between 20000 and 30000"
}

# start NODE ARGS…: starts a node with ports and a home of its own, and waits until it takes jobs.
start() {
	local at=$1 api p2p
	shift
	free_port && api=$port
	free_port && p2p=$port
	mkdir -p "$work/$at"
	printf '   %s%s$ %snode serve %s%s\n' "$bold" "$at" "${SHOAL_TOKEN:+SHOAL_TOKEN=… }" "$*" "$plain"
	SHOAL_HOME="$work/$at" "$node" serve "$@" \
		--api "127.0.0.1:$api" --listen "/ip4/127.0.0.1/tcp/$p2p" >"$work/$at/serve.log" 2>&1 &
	pids+=($!)
	until_true 30 "node $at answers at http://127.0.0.1:$api/readyz" ready "$api" $!
	eval "api_$at=$api"
}

ready() { # PORT PID
	kill -0 "$2" 2>/dev/null || die "the node ended: $(tail -n 3 "$work"/*/serve.log)"
	[[ $( (
		exec 3<>"/dev/tcp/127.0.0.1/$1"
		printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
		head -n 1 <&3
	) 2>/dev/null) == *" 200"* ]]
}

# until_true SECONDS WHAT COMMAND…: asks again until the command succeeds.
until_true() {
	local limit=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$limit" ] || die "gave up waiting: $what"
		sleep 0.05
	done
}

# A peer labels itself with its WebAssembly engine once that has run something.
sees_three() { [ "$(ask "$1" peers -o json | grep -c '"wasm"')" = 3 ]; }

# field NAME: the value of the first "NAME": "value" in the JSON on stdin.
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

for f in "$node" examples/wordcount/wordcount.wasm examples/resize/resize.wasm; do
	[ -f "$f" ] || die "${f#"$PWD/"} is missing; run make demo, which builds it"
done
mkdir -p "$results" 2>/dev/null && [ -w "$results" ] || results=$(mktemp -d "${TMPDIR:-/tmp}/shoal-results.XXXXXX")
rm -rf "$results/books" "$results/wordcount" "$results/resize"

cat <<END
${bold}Shoal: three equal nodes, two jobs, no server.${plain}
Three nodes run on this machine as they would on three: each with a home folder and ports
of its own. A line that begins with a$, b$ or c$ is a command at that node.
END

say "Node a founds a private swarm." \
	"It makes the swarm's key and says how the next machine joins."
start a --private --initial --label site=attic
until_true 30 "node a has tried what it can run" grep -q SHOAL_TOKEN "$work/a/serve.log"
sed 's/\(SHOAL_TOKEN=.\{12\}\)[^ ]*/\1…/' "$work/a/serve.log" | grep -v '^{' | indent

say "Nodes b and c join it, each in one of the two ways." \
	"The token lets them fetch the key from node a, over a connection that only a member can answer."
typed a token create
SHOAL_TOKEN=$(ask a token create 2>/dev/null)
export SHOAL_TOKEN
start b --join "127.0.0.1:$api_a" --label site=cellar
start c --private --peer "/ip4/127.0.0.1/tcp/$api_a/http" --label site=desk
unset SHOAL_TOKEN

say "Each of them now knows the other two."
for n in a b c; do until_true 30 "node $n sees three peers" sees_three "$n"; done
on c peers | indent

say "Data goes into the swarm under the hash of its content (IPFS)." \
	"Node b adds Newton's Opticks; node c, which does not have it, reads it by that name."
books=$(on b add examples/wordcount/books)
echo "   $books"
on c get "ipfs://$books" -o "$results/books" | indent
diff -r examples/wordcount/books "$results/books" || die "what node c got is not what node b added"
echo "   (the same, byte for byte)"
photo=$(on b add examples/resize/photo.jpg)
echo "   $photo"

# job NAME OUTPUT: submits the example at node c, which is asked to leave it to others.
job() {
	local name=$1 output=$2 id executor self
	mkdir -p "$work/jobs"
	cp -r "examples/$name" "$work/jobs/$name"
	echo "where: site!=desk" >>"$work/jobs/$name/job.yaml"
	typed c submit "$name/job.yaml" --follow
	# stdout begins with the job's ID; what is said about the job is on stderr.
	{
		SHOAL_HOME="$work/c" timeout 60 "$node" submit "$work/jobs/$name/job.yaml" --follow | tee "$work/$name.out"
	} 2>&1 | indent || die "the job failed, or did not end within a minute"
	id=$(head -n 1 "$work/$name.out")

	echo
	echo "   Who bid, and who did it?"
	on a describe "$id" | indent
	executor=$(ask a describe "$id" -o json | field executor)
	self=$(ask c status -o json | field peer)
	[ -n "$executor" ] && [ "$executor" != "$self" ] || die "the job ran on node c, which it was not to"
	printf '\n   Node c is peer %s. The work was done by peer %s, at %s.\n' "${self: -8}" "${executor: -8}" \
		"$(ask c peers | grep "^${executor: -8}" | grep -o 'site=[a-z]*')"

	echo
	echo "   Node b, which had no part in submitting it, fetches the result."
	on b get "$id" -o "$results/$name" | indent
	[ -s "$results/$name/$output" ] || die "the result $output is missing"
}

say "Node c submits a job: count the words of the book." \
	"The job is examples/wordcount/job.yaml and one line more, where: site!=desk, so that node c" \
	"itself is out of the question. The other two bid; the better bid gets it."
job wordcount counts/counts.tsv

say "And another: scale the photograph down."
job resize small/photo.jpg

say "Any node knows every job of the swarm."
on b list | indent

cat <<END

${bold}Done in $((SECONDS - began)) s.${plain} The results are in $results/:
$(cd "$results" && find wordcount resize -type f | sed 's/^/   /')
The nodes are stopped now. For a swarm of your own: bin/node serve --private --initial
END
