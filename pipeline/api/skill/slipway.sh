#!/usr/bin/env bash
# Post through a Slipway server from a shell. SKILL.md says how an agent uses it, `slipway.sh help` what there is.
#
# Needs bash 4.4, curl 7.71, jq 1.6. Commands, options and the exit codes 0, 1 and 127 are those of the public client of
# this API where both have them (genviral-skill, scripts/genviral.sh, read 2026-12-01); 2 is ours: that client says 1 too
# when it does not know what became of a post.
set -euo pipefail
shopt -s inherit_errexit

print_help() {
    cat <<'END'
usage: slipway.sh COMMAND [OPTIONS]      SLIPWAY_URL and SLIPWAY_KEY say where and who

accounts                                 active accounts of the key
get-account --id ACCOUNT                 what an account takes, its options, what it has left today
upload --file FILE [--content-type T]    store a file; prints the url to post
validate-post POST                       what would be refused or warned about; stores nothing
create-post POST                         publish now, or at --scheduled-at, or keep with --draft
create-posts --file FILE                 up to 500 posts: a JSON array of bodies; - is the standard input
schedule-post --id ID [--scheduled-at T] send a draft, at once or at a time
get-post --id ID [--wait SECONDS]        read a post back; with --wait, until it is settled
list-posts [--status S] [--external-id E] [--since T] [--until T] [--limit N] [--cursor C]
explain-post --id ID                     why it stands where it stands, and whose turn it is
update-post --id ID POST                 change what is not sent
retry-posts --post-ids IDS               send again what failed
cancel-posts --post-ids IDS              cancel what is not sent
delete-posts --post-ids IDS              cancel and hide
IDS are separated by commas; retry-posts and cancel-posts take --account-ids too.

POST: --caption TEXT --media-type video|slideshow|text --media-url URL --media-urls URLS --accounts IDS
      [--scheduled-at TIME] [--external-id NAME] [--draft] [--music-url URL] [--body FILE]
      [--tiktok-title --tiktok-description --tiktok-post-mode --tiktok-privacy --tiktok-disable-comment
       --tiktok-disable-duet --tiktok-disable-stitch --auto-add-music --is-commercial --is-branded-content
       --user-consent --is-your-brand] [--pinterest-board-id --pinterest-title --pinterest-link --pinterest-tags]
      --body: a JSON body with any field of $SLIPWAY_URL/reference.md, under the options; - is the standard input
      update-post: [--clear-scheduled-at] [--clear-tiktok] [--clear-pinterest], --music-url null

Prints the answer's data as JSON (of a refusal, the whole answer), and a sentence on stderr.
Exit code: 0 done; 1 refused, or used wrongly; 2 no sure answer, repeat the same command; 127 curl or jq is missing.

example: slipway.sh create-post --caption "Our new mug" --media-type video --media-url https://cdn.example.com/mug.mp4 \
           --accounts 01a22f87-2188-7f0d-b847-c966255a89d7 --external-id mug-1
END
}

readonly POST="caption media-type media-url media-urls accounts scheduled-at external-id music-url body tiktok-title \
tiktok-description tiktok-post-mode tiktok-privacy tiktok-disable-comment tiktok-disable-duet tiktok-disable-stitch \
auto-add-music is-commercial is-branded-content user-consent is-your-brand pinterest-board-id pinterest-title \
pinterest-link pinterest-tags"

# Command -> its options.
declare -Ar COMMANDS=(
    [accounts]=""
    [get-account]="id"
    [upload]="file content-type filename"
    [validate-post]="$POST draft"
    [create-post]="$POST draft"
    [create-posts]="file"
    [schedule-post]="id scheduled-at"
    [get-post]="id wait"
    [list-posts]="status external-id since until limit cursor"
    [explain-post]="id"
    [update-post]="id $POST clear-scheduled-at clear-tiktok clear-pinterest"
    [retry-posts]="post-ids account-ids"
    [cancel-posts]="post-ids account-ids"
    [delete-posts]="post-ids ids"
)

# Option -> its kind, and where its value stands in GIVEN.
declare -Ar OPTIONS=(
    [caption]="text .caption"
    [media-type]="text .media.type"
    [media-url]="text .media.url"
    [media-urls]="list .media.urls"
    [accounts]="ids .accounts"
    [scheduled-at]="text .scheduled_at"
    [external-id]="text .external_id"
    [music-url]="null_or_text .music_url"
    [draft]="flag .draft"
    [tiktok-title]="text .tiktok.title"
    [tiktok-description]="text .tiktok.description"
    [tiktok-post-mode]="text .tiktok.post_mode"
    [tiktok-privacy]="text .tiktok.privacy_level"
    [tiktok-disable-comment]="flag .tiktok.disable_comment"
    [tiktok-disable-duet]="flag .tiktok.disable_duet"
    [tiktok-disable-stitch]="flag .tiktok.disable_stitch"
    [auto-add-music]="flag .tiktok.auto_add_music"
    [is-commercial]="flag .tiktok.is_commercial"
    [is-branded-content]="flag .tiktok.is_branded_content"
    [user-consent]="flag .tiktok.user_consent"
    [is-your-brand]="flag .tiktok.is_your_brand"
    [pinterest-board-id]="text .pinterest.board_id"
    [pinterest-title]="text .pinterest.title"
    [pinterest-link]="text .pinterest.link"
    [pinterest-tags]="list .pinterest.tags"
    [clear-scheduled-at]="null .scheduled_at"
    [clear-tiktok]="null .tiktok"
    [clear-pinterest]="null .pinterest"
    [body]="text .body"
    [id]="text .id"
    [post-ids]="list .post_ids"
    [ids]="list .post_ids"
    [account-ids]="list .account_ids"
    [wait]="number .wait"
    [status]="text .status"
    [since]="text .since"
    [until]="text .until"
    [limit]="text .limit"
    [cursor]="text .cursor"
    [file]="text .file"
    [content-type]="text .contentType"
    [filename]="text .filename"
    [json]="ignored ." # other commands of the public client need it to print JSON
)

# Kind -> how its value is made of the word $v.
# shellcheck disable=SC2016
declare -Ar KINDS=(
    [text]='$v'
    [null_or_text]='if $v == "null" then null else $v end'
    [list]='$v | split(",") | map(gsub("^\\s+|\\s+$"; "") | select(. != ""))'
    [ids]='$v | split(",") | map(gsub("^\\s+|\\s+$"; "") | select(. != "") | {id: .})'
    [flag]='$v == "true"'
    [number]='$v | tonumber | floor'
    ["null"]='null'
)

declare -Ar CONTENT_TYPES=(
    [jpg]=image/jpeg [jpeg]=image/jpeg [png]=image/png [gif]=image/gif [webp]=image/webp [heic]=image/heic
    [heif]=image/heif [mp4]=video/mp4 [mov]=video/quicktime [avi]=video/x-msvideo [webm]=video/webm
    [m4v]=video/x-m4v [pdf]=application/pdf
)

say() { printf '%s\n' "$*" >&2; }

refuse() {
    say "slipway.sh: $*"
    exit 1
}

# ── Options ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# read_options ARGUMENT…: put every option into GIVEN.
read_options() {
    local allowed=" ${COMMANDS[$COMMAND]} json " name kind path
    while (($#)); do
        name=${1#--}
        [[ $1 == --?* && $allowed == *" $name "* ]] || refuse "$COMMAND takes no $1; see slipway.sh help."
        read -r kind path <<<"${OPTIONS[$name]}"
        case $kind in
            ignored) shift && continue ;;
            "null") set -- "$1" "" "${@:2}" ;;
            flag) [[ ${2-} == true || ${2-} == false ]] || set -- "$1" true "${@:2}" ;;
        esac
        (($# > 1)) || refuse "$1 needs a value."
        GIVEN=$(jq -c --arg v "$2" "$path = (${KINDS[$kind]})" <<<"$GIVEN" 2>/dev/null) || refuse "$1 cannot be '$2'."
        shift 2
    done
}

# get_given NAME: print an option's value, nothing if it was not given.
get_given() { jq -r ".$1 // empty" <<<"$GIVEN"; }

require() { [[ -n $(get_given "$1") ]] || refuse "$COMMAND needs --${1//_/-}."; }

# require_id: print --id. It becomes part of an address.
require_id() {
    local id
    id=$(get_given id)
    [[ $id =~ ^[0-9A-Fa-f-]{36}$ ]] || refuse "--id must be a UUID, not '$id'."
    printf %s "$id"
}

# read_file OPTION: print the file that the option names; - is the standard input.
read_file() {
    local file
    file=$(get_given "$1")
    if [[ $file == - ]]; then
        cat
    else
        [[ -f $file && -r $file ]] || refuse "--$1 $file cannot be read."
        cat -- "$file"
    fi
}

# build_post: print the post of GIVEN: the options above the fields of --body.
build_post() {
    local body='{}'
    if [[ -n $(get_given body) ]]; then body=$(read_file body); fi
    jq -c --slurpfile given <(printf %s "$GIVEN") '. * ($given[0] | del(.body, .id))' <<<"$body" ||
        refuse "--body is not a JSON object."
}

compute_digest() {
    local sum
    sum=$({ sha256sum 2>/dev/null || shasum -a 256; })
    printf 'sh-%s' "${sum:0:40}"
}

# name_posts: give each post of the standard input that has no external_id the digest of what it says, so that a repeat
# of the command, by whoever gives it, finds the post that is there.
name_posts() {
    local post
    jq -cS . | while IFS= read -r post; do
        printf '["%s",%s]\n' "$(compute_digest <<<"$post")" "$post"
    done | jq -c '.[0] as $name | .[1] | if type == "object" then .external_id //= $name else . end'
}

# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Waits as Retry-After says, and gives up where that or all waits together are longer than a minute.
readonly REPEAT=(--retry 3 --retry-all-errors --retry-max-time 60)

# send URL CURL-OPTION…: put the status into STATUS, 000 if there is no whole answer, and the answer into a file. Address
# and HEADERS go to curl by its standard input: every user of the machine can read arguments.
send() {
    local url=$1
    shift
    : >"$FOLDER/answer"
    STATUS=$({
        printf 'url = "%s"\n' "$url"
        printf 'header = "%s"\n' "${HEADERS[@]}"
    } | curl -q -sS -g -o "$FOLDER/answer" -D "$FOLDER/headers" -w '%{http_code}' --connect-timeout 10 \
        --speed-limit 1 --speed-time 60 "$@" --config -) || STATUS=000
    check_answer
}

# fetch PATH: send a GET.
fetch() {
    HEADERS=("Authorization: Bearer $SLIPWAY_KEY")
    send "$API$1" "${REPEAT[@]}"
}

# change METHOD PATH BODY [CURL-OPTION…]: send a change. It is repeated only if the options say so.
change() {
    printf %s "$3" >"$FOLDER/body"
    HEADERS=("Authorization: Bearer $SLIPWAY_KEY" "Content-Type: application/json")
    send "$API$2" -X "$1" --data-binary "@$FOLDER/body" "${@:4}"
}

# check_answer: return if the request was accepted; else print the answer and exit.
check_answer() {
    local code=2
    case $STATUS in
        2??) if holds '.ok == true'; then return; fi ;;
        408 | 429) ;;
        4??) code=1 ;;
    esac
    jq . "$FOLDER/answer" 2>/dev/null || true
    say "$(describe_failure)"
    if ((code == 2)); then say "$(describe_repeat)"; fi
    exit "$code"
}

# Control characters of a message would move the cursor of a terminal.
describe_failure() {
    jq -er --arg status "$STATUS" '"\($status) \(.error_code): \(.message)" | gsub("[[:cntrl:]]"; " ")' \
        "$FOLDER/answer" 2>/dev/null || printf 'No answer of this API came (HTTP status %s).' "$STATUS"
}

describe_repeat() {
    local name value after=""
    while IFS=': ' read -r name value; do
        if [[ ${name,,} == retry-after ]]; then after=" in ${value%$'\r'} seconds"; fi
    done <"$FOLDER/headers"
    printf 'Repeat the same command%s: it makes no second post.' "$after"
}

print_data() { jq .data "$FOLDER/answer"; }

# holds FILTER: return whether it is true of the answer.
holds() { jq -e "$1" "$FOLDER/answer" >/dev/null 2>&1; }

# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

list_accounts() {
    fetch /accounts
    print_data
}

list_posts() {
    fetch "/posts?$(jq -r 'to_entries | map("\(.key)=\(.value | @uri)") | join("&")' <<<"$GIVEN")"
    print_data
}

# get_one PATH [SUFFIX]: print what has the id.
get_one() {
    local id
    id=$(require_id)
    fetch "$1/$id${2-}"
    print_data
}

readonly MOVING="^(pending|scheduled|retry)$"

get_post() {
    local id wait status
    id=$(require_id)
    wait=$(get_given wait)
    until
        fetch "/posts/$id"
        status=$(jq -r .data.status "$FOLDER/answer")
        [[ ! $status =~ $MOVING ]] || ((SECONDS >= ${wait:-0}))
    do
        sleep 2
    done
    print_data
    if [[ -z $wait || $status == posted ]]; then return; fi
    say "It is $status: see slipway.sh explain-post --id $id."
    if [[ $status =~ $MOVING ]]; then exit 2; fi
    exit 1
}

upload_file() {
    local file name type url
    require file
    file=$(get_given file) type=$(get_given contentType)
    [[ -f $file && -r $file ]] || refuse "--file $file cannot be read."
    name=${file##*.}
    type=${type:-${CONTENT_TYPES[${name,,}]-}}
    [[ -n $type ]] || refuse "--content-type is needed: the name of $file does not say it."
    change POST /files "$(jq -c --arg type "$type" --arg name "${file##*/}" \
        '{contentType: $type, filename: (.filename // $name)}' <<<"$GIVEN")"
    jq '.data | {url, contentType}' "$FOLDER/answer" >"$FOLDER/stored"
    url=$(jq -r .data.uploadUrl "$FOLDER/answer")
    [[ $url =~ $ADDRESS ]] || refuse "the server gave no address to upload to."
    HEADERS=("Content-Type: $type")
    send "$url" --upload-file "$file" "${REPEAT[@]}"
    cat "$FOLDER/stored"
}

validate_post() {
    local post
    post=$(build_post)
    change POST /posts/validate "$post" "${REPEAT[@]}"
    print_data
    holds .data.valid || refuse "It would be refused: see refused."
}

create_post() {
    local post
    post=$(build_post | name_posts)
    change POST /posts "$post" "${REPEAT[@]}"
    print_data
    if holds .data.duplicate; then say "It was accepted before: nothing was posted again."; fi
}

create_posts() {
    local body
    require file
    body=$(read_file file | jq -ce 'if type == "array" then . else .posts end | .[]' | name_posts |
        jq -cs '{posts: .}') || refuse "--file holds no JSON array of posts."
    change POST /posts/batch "$body" "${REPEAT[@]}"
    print_data
    if holds 'any(.data.results[]; .code >= 500)'; then
        say "$(describe_repeat)"
        exit 2
    fi
    holds '.data.refused == 0' || refuse "Some posts were refused: see results, in the order of the file."
}

schedule_post() {
    local id body key
    id=$(require_id)
    body=$(jq -c 'del(.id)' <<<"$GIVEN")
    key=$(compute_digest <<<"$id $body")
    change POST "/posts/$id/schedule" "$body" -H "Idempotency-Key: $key" "${REPEAT[@]}"
    print_data
}

update_post() {
    local id post
    id=$(require_id)
    post=$(build_post)
    change PATCH "/posts/$id" "$post"
    print_data
}

# steer VERB: retry, cancel or delete the posts named.
steer() {
    require post_ids
    change POST "/posts/$1" "$GIVEN"
    print_data
    holds '.data | (.errors // {} | length) + (.blockedStatuses // [] | length) == 0' ||
        refuse "Not all of them: see errors and blockedStatuses."
}

# ── Start ────────────────────────────────────────────────────────────────────────────────────────────────────────────

readonly ADDRESS='^https?://[^[:space:]"\\]+$'

prepare() {
    local needed
    for needed in curl jq; do
        if ! command -v "$needed" >/dev/null; then
            say "slipway.sh needs $needed."
            exit 127
        fi
    done
    [[ ${SLIPWAY_URL-} =~ $ADDRESS ]] || refuse "SLIPWAY_URL must be the address of the server."
    [[ ${SLIPWAY_KEY-} =~ ^[A-Za-z0-9_~.-]+$ ]] || refuse "SLIPWAY_KEY must be a key: public id, dot, secret."
    readonly API="${SLIPWAY_URL%/}/api/partner/v1"
    FOLDER=$(mktemp -d)
    trap 'rm -rf "$FOLDER"' EXIT
    : >"$FOLDER/headers"
}

case ${1:-help} in
    help | -h) print_help && exit 0 ;;
esac
for word in "$@"; do
    if [[ $word == --help ]]; then print_help && exit 0; fi
done
readonly COMMAND=$1
[[ -n ${COMMANDS[$COMMAND]+known} ]] || refuse "there is no command $COMMAND; see slipway.sh help."
GIVEN='{}'
prepare
read_options "${@:2}"
case $COMMAND in
    accounts) list_accounts ;;
    get-account) get_one /accounts ;;
    upload) upload_file ;;
    validate-post) validate_post ;;
    create-post) create_post ;;
    create-posts) create_posts ;;
    schedule-post) schedule_post ;;
    get-post) get_post ;;
    list-posts) list_posts ;;
    explain-post) get_one /posts /explain ;;
    update-post) update_post ;;
    retry-posts) steer retry ;;
    cancel-posts) steer cancel ;;
    delete-posts) steer delete ;;
esac
