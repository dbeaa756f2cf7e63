// The state of every part: its words, its tone, and which parts are down.

const TONES = { up: 'good', ready: 'good', closed: 'good', unready: 'warn', 'half-open': 'warn' };
const BAD = new Set(['down', 'open']);
const WORDS = { unready: 'not ready' };

export const tone = (status) => (BAD.has(status) ? 'bad' : (TONES[status] ?? 'unknown'));
export const words = (status) => WORDS[status] ?? status ?? 'unknown';

// Every part with a state, as [name, status]; a machine that is down stands for everything on it.
export function parts(status) {
  const found = [];
  for (const machine of status.machines) {
    found.push([machine.name, machine.status]);
    if (tone(machine.status) === 'bad') continue;
    for (const process of machine.processes) found.push([process.name, process.status]);
    if (machine.database) found.push([machine.database.name, machine.database.status]);
  }
  if (status.rabbitmq) found.push(['RabbitMQ', status.rabbitmq.status]);
  if (status.cache) found.push(['Redis', status.cache.status]);
  return found;
}

// The names of the parts with this tone, each once.
export function named(status, wanted) {
  const found = parts(status).filter(([, state]) => tone(state) === wanted);
  return [...new Set(found.map(([name]) => name))];
}
