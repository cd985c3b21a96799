// Flagstone behind CloudFront: the check of every viewer request. Runtime cloudfront-js-2.0; event type viewer request;
// on every cache behavior of the distribution. docs/CDN.md has the policies that belong to it.
//
// Its key-value store has SHA-256 of SDK keys, as hexadecimal digits, and what each opens: PROJECT/ENVIRONMENT.

import cf from 'cloudfront';
import crypto from 'crypto';

const keys = cf.kvs();

/** Longest SDK key that is looked at, in bytes. */
const MAX_KEY_BYTES = 512;

// The shapes of published objects. The path is taken as it came: no object needs an escape.
const STREAM =
    /^\/(open|closed)\/([a-z0-9][a-z0-9-]{0,39})\/v1\/e\/([a-z0-9][a-z0-9-]{0,39})\/[a-z0-9][a-z0-9-]{0,39}\/(?:manifest|m\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127})$/;
const CONTENT = /^\/(open|closed)\/([a-z0-9][a-z0-9-]{0,39})\/v1\/[sd]\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;
const LIST = /^\/(closed)\/([a-z0-9][a-z0-9-]{0,39})\/v1\/k\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;
const ROOT = /^\/(open)\/([a-z0-9][a-z0-9-]{0,39})\/v1\/root\/[0-9]{1,20}$/;

async function handler(event) {
    const request = event.request;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
        return refusal(405, 'Method Not Allowed', 'method-not-allowed', { allow: { value: 'GET, HEAD' } });
    }
    const asked =
        STREAM.exec(request.uri) || CONTENT.exec(request.uri) || LIST.exec(request.uri) || ROOT.exec(request.uri);
    if (!asked) {
        return refusal(404, 'Not Found', 'not-found', {});
    }
    if (asked[1] === 'closed') {
        const given = request.headers['x-flagstone-key'];
        // Two of them are none: nobody could say which counts.
        if (!given || given.multiValue || given.value.length === 0 || given.value.length > MAX_KEY_BYTES) {
            return refusal(401, 'Unauthorized', 'unauthenticated', { 'www-authenticate': { value: 'FlagstoneKey' } });
        }
        const scope = await scopeOf(given.value);
        // A manifest takes a key of its environment; content and lists take any key of the project.
        const opens = asked[3] ? scope === asked[2] + '/' + asked[3] : scope.split('/')[0] === asked[2];
        if (!opens) {
            return refusal(403, 'Forbidden', 'forbidden', {});
        }
    }
    // Objects are served whole, by their path alone, and no key goes further than this.
    request.querystring = {};
    delete request.headers['x-flagstone-key'];
    delete request.headers['range'];
    delete request.headers['if-range'];
    delete request.headers['if-modified-since'];
    return request;
}

/** PROJECT/ENVIRONMENT, or nothing for a key that is not known. */
async function scopeOf(key) {
    try {
        return await keys.get(crypto.createHash('sha256').update(key).digest('hex'));
    } catch (_unknown) {
        return '';
    }
}

function refusal(status, description, code, headers) {
    headers['cache-control'] = { value: 'no-store' };
    headers['content-type'] = { value: 'text/plain' };
    return {
        statusCode: status,
        statusDescription: description,
        headers: headers,
        body: { encoding: 'text', data: code + '\n' },
    };
}
