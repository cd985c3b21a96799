# Flagstone behind Varnish 7.1: an example, with values to be filled in (docs/CDN.md says how).
#
#   ${FLAGSTONE_ORIGIN_ADDRESS}  where the bucket is: 127.0.0.1
#   ${FLAGSTONE_ORIGIN_PORT}     80. Varnish speaks no TLS to an origin: put a local proxy between, or a private network
#   ${FLAGSTONE_ORIGIN_HOST}     the host that the bucket is asked by
#   ${FLAGSTONE_ORIGIN_PREFIX}   what stands before an object's path there, without a slash at the end: /BUCKET, or nothing
#   ${FLAGSTONE_ETC}             folder of keys.vcl
#
# Needs the module `digest` (Debian: varnish-vmod-digest). Start varnishd with
# `-p vsl_mask=-ReqHeader,-ReqUnset,-BereqHeader,-BereqUnset`, or the log in memory has keys.

vcl 4.1;

import digest;
import std;

backend origin {
    .host = "${FLAGSTONE_ORIGIN_ADDRESS}";
    .port = "${FLAGSTONE_ORIGIN_PORT}";
    .host_header = "${FLAGSTONE_ORIGIN_HOST}";
    # An old copy must be on its way before the client gives up, after 5 seconds.
    .connect_timeout = 1s;
    .first_byte_timeout = 3s;
    .between_bytes_timeout = 2s;
}

# `sub flagstone_scope`: from req.http.x-flagstone-sha256 to req.http.x-flagstone-scope, PROJECT/ENVIRONMENT.
include "${FLAGSTONE_ETC}/keys.vcl";

sub vcl_recv {
    # Grace off: nobody gets an old copy while the origin answers, not even the first one after a quiet hour.
    set req.grace = 0s;
    if (req.restarts > 0) {
        # The origin failed: now an old copy will do. All that follows is checked once more: after a failure of this
        # file, Varnish goes on with the request as it came.
        set req.grace = 24h;
    }

    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405));
    }
    # Nothing is decoded or joined: no object needs an escape. What has nothing before its query would leave no URL.
    if (req.url !~ "^/") {
        return (synth(404));
    }
    set req.url = regsub(req.url, "\?.*$", "");
    if (req.url !~ "^/(open|closed)/[a-z0-9][a-z0-9-]{0,39}/v1/e/[a-z0-9][a-z0-9-]{0,39}/[a-z0-9][a-z0-9-]{0,39}/(manifest|m/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127})$"
        && req.url !~ "^/(open|closed)/[a-z0-9][a-z0-9-]{0,39}/v1/[sd]/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
        && req.url !~ "^/closed/[a-z0-9][a-z0-9-]{0,39}/v1/k/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
        && req.url !~ "^/open/[a-z0-9][a-z0-9-]{0,39}/v1/root/[0-9]{1,20}$") {
        return (synth(404));
    }

    # Set by this file alone.
    unset req.http.x-flagstone-sha256;
    unset req.http.x-flagstone-scope;
    unset req.http.x-flagstone-need;
    if (req.url ~ "^/closed/") {
        std.collect(req.http.x-flagstone-key, ",");
        if (req.http.x-flagstone-key !~ "^[^,]{1,512}$") {
            return (synth(401));
        }
        set req.http.x-flagstone-sha256 = digest.hash_sha256(req.http.x-flagstone-key);
        call flagstone_scope;
        if (req.url ~ "^/closed/[^/]+/v1/e/") {
            set req.http.x-flagstone-need = regsub(req.url, "^/closed/([^/]+)/v1/e/([^/]+)/.*$", "\1/\2");
        } else {
            set req.http.x-flagstone-need = regsub(req.url, "^/closed/([^/]+)/.*$", "\1");
            set req.http.x-flagstone-scope = regsub(req.http.x-flagstone-scope, "/.*$", "");
        }
        if (req.http.x-flagstone-scope != req.http.x-flagstone-need) {
            return (synth(403));
        }
    }

    # Nothing of the request goes on but its path, and objects are served whole. The key stays here, for a restart.
    unset req.http.x-flagstone-sha256;
    unset req.http.x-flagstone-scope;
    unset req.http.x-flagstone-need;
    unset req.http.Range;
    unset req.http.If-Range;
    unset req.http.If-Modified-Since;
    unset req.http.Accept;
    unset req.http.Accept-Encoding;
    unset req.http.Accept-Language;
    unset req.http.Authorization;
    unset req.http.Cookie;
    unset req.http.Cache-Control;
    unset req.http.Pragma;
    unset req.http.Origin;
    unset req.http.Referer;
    unset req.http.User-Agent;
    unset req.http.X-Forwarded-For;
    unset req.http.X-HTTP-Method-Override;
    unset req.http.X-Original-URL;
    unset req.http.X-Rewrite-URL;
    return (hash);
}

# The path, and nothing else: neither a host nor a header.
sub vcl_hash {
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_fetch {
    set bereq.url = "${FLAGSTONE_ORIGIN_PREFIX}" + bereq.url;
    set bereq.http.Host = "${FLAGSTONE_ORIGIN_HOST}";
    unset bereq.http.Accept-Encoding;
    unset bereq.http.If-Modified-Since;
    unset bereq.http.x-flagstone-key;
    unset bereq.http.X-Varnish;
    unset bereq.http.Via;
    return (fetch);
}

sub vcl_backend_response {
    if (beresp.status == 403 || beresp.status == 404 || beresp.status == 410) {
        # Not kept: it may be uploaded in a moment. A bucket that must not be listed says 403 for what is not there.
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (beresp.status != 200 || beresp.http.Content-Length ~ "^[0-9]{9}") {
        return (abandon);
    }
    # What was cut on its way reaches nobody.
    set beresp.do_stream = false;
    unset beresp.http.Accept-Ranges;
    unset beresp.http.Expires;
    unset beresp.http.Last-Modified;
    unset beresp.http.Set-Cookie;
    unset beresp.http.Strict-Transport-Security;
    unset beresp.http.Vary;
    unset beresp.http.x-amz-id-2;
    unset beresp.http.x-amz-request-id;
    unset beresp.http.x-amz-version-id;
    unset beresp.http.X-Ratelimit-Limit;
    unset beresp.http.X-Ratelimit-Remaining;
    unset beresp.http.X-Xss-Protection;
    if (!beresp.http.Content-Length || !beresp.http.Cache-Control
        || beresp.http.Cache-Control ~ "(?i)no-store|no-cache|private") {
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    # How long it is fresh is what the origin said, if not in a 304 then before: buckets do not repeat it there, and
    # Varnish would take its own two minutes.
    if (beresp.was_304 && beresp.http.Cache-Control ~ "s-maxage=[0-9]+") {
        set beresp.ttl = std.duration(regsub(beresp.http.Cache-Control, "^.*s-maxage=([0-9]+).*$", "\1s"), 0s);
    } elsif (beresp.was_304) {
        set beresp.ttl = std.duration(regsub(beresp.http.Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
    }
    # Then it is kept for a day: to be asked about, and in case the origin fails.
    set beresp.grace = 24h;
    return (deliver);
}

sub vcl_backend_error {
    return (abandon);
}

sub vcl_deliver {
    if (resp.status == 403 || resp.status == 404 || resp.status == 410) {
        return (synth(404));
    }
    unset resp.http.Accept-Ranges;
    unset resp.http.Server;
    unset resp.http.Via;
    unset resp.http.X-Varnish;
    set resp.http.X-Content-Type-Options = "nosniff";
    return (deliver);
}

sub vcl_synth {
    # Once more if the origin failed; what this file fails at, it would fail at again.
    if (resp.status == 503 && resp.reason != "VCL failed" && req.restarts == 0) {
        return (restart);
    }
    unset resp.http.Server;
    unset resp.http.X-Varnish;
    set resp.http.Cache-Control = "no-store";
    set resp.http.Content-Type = "text/plain";
    if (resp.status == 401) {
        set resp.http.WWW-Authenticate = "FlagstoneKey";
        set resp.body = "unauthenticated" + {"
"};
    } elsif (resp.status == 403) {
        set resp.body = "forbidden" + {"
"};
    } elsif (resp.status == 404) {
        set resp.body = "not-found" + {"
"};
    } elsif (resp.status == 405) {
        set resp.http.Allow = "GET, HEAD";
        set resp.body = "method-not-allowed" + {"
"};
    } else {
        set resp.body = "unavailable" + {"
"};
    }
    return (deliver);
}
