// Runs the CloudFront Function in Node: the key-value store and the events are given as JSON on standard input, and
// what the handler answers is JSON on standard output. CloudFront's own module is the folder's node_modules/cloudfront.

import { argv, stdin, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';

let text = '';
for await (const chunk of stdin) {
    text += chunk;
}
const { keys, events } = JSON.parse(text);

// As CloudFront does: what is not there is an error.
globalThis.keyValueStore = {
    async get(key) {
        if (!Object.hasOwn(keys, key)) {
            throw new Error('KeyNotFound');
        }
        return keys[key];
    },
};

const { handler } = await import(pathToFileURL(argv[2]));
const answers = [];
for (const event of events) {
    answers.push(await handler(event));
}
stdout.write(JSON.stringify(answers));
