// Follows an URL with the `eventsource` package and prints what happens, a JSON array a line: what, and what it says.
// TOKEN goes where a browser's own EventSource can't put one.

import process from 'node:process';
import { EventSource } from 'eventsource';

const [url, ...types] = process.argv.slice(2);
const print = (...parts) => process.stdout.write(`${JSON.stringify(parts)}\n`);
const authorized = (address, options) =>
  fetch(address, { ...options, headers: { ...options.headers, Authorization: `Bearer ${process.env.TOKEN}` } });

const source = new EventSource(url, { fetch: authorized });
source.onopen = () => print('open');
source.onerror = (error) => print(source.readyState === EventSource.CLOSED ? 'closed' : 'connecting', error.code ?? null);
for (const type of ['message', 'fanfare-gap', ...types]) {
  source.addEventListener(type, (event) => print(event.type, event.data, event.lastEventId));
}
