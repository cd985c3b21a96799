// The SHA-256 of the SDK key of a request, as hexadecimal digits; nothing if there is none, or more than one.
// nginx.conf looks it up: the edge knows no key, only what keys hash to.

import crypto from 'crypto';

/** Longest SDK key that is looked at, in bytes. */
const MAX_KEY_BYTES = 512;

function keySha256(r) {
    const given = r.rawHeadersIn.filter(header => header[0].toLowerCase() === 'x-flagstone-key');
    if (given.length !== 1) {
        return '';
    }
    const key = given[0][1];
    if (key.length === 0 || key.length > MAX_KEY_BYTES) {
        return '';
    }
    return crypto.createHash('sha256').update(key).digest('hex');
}

export default { keySha256 };
