// The picture: the machines with their processes, and the wires between them.

import { byId, keyed, make, part, setAttribute, setText } from './dom.js';
import { drillsOf, setDrills } from './drills.js';
import { tone, words } from './states.js';
import { milliseconds, percent, rate } from './text.js';

const SAMPLES = 60;
const samples = [];

export function showMachines(status) {
  const entrance = status.machines.filter((machine) => machine.entrance);
  const others = status.machines.filter((machine) => !machine.entrance);
  const update = (element, machine) => showMachine(element, machine, status);
  keyed(byId('gateway'), entrance, (machine) => machine.name, createEntrance, update);
  keyed(byId('machines'), others, (machine) => machine.name, createColumn, update);
  if (entrance.length) showFigures(byId('gateway'), status.gateway);
}

function createCard(machine) {
  const title = make('h3', {}, machine.name);
  const address = make('span', { class: 'muted mono', 'data-part': 'address' });
  const head = make('div', {}, title, make('p', { class: 'machine-state' },
    make('span', { class: 'state', 'data-part': 'status' }), address));
  const drills = make('div', { class: 'drills', 'data-part': 'drills' });
  return make('article', { class: 'card', 'data-part': 'card', 'aria-label': machine.name },
    make('header', {}, head, drills), make('ul', { class: 'parts', 'data-part': 'parts' }));
}

function createColumn(machine) {
  const wires = make('ul', { class: 'wires', 'data-part': 'wires', 'aria-label': `From the gateway to ${machine.name}` });
  return make('div', { class: 'column' }, wires, createCard(machine));
}

function createEntrance(machine) {
  const card = createCard(machine);
  const spark = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  spark.setAttribute('viewBox', '0 0 120 32');
  spark.setAttribute('preserveAspectRatio', 'none');
  spark.setAttribute('aria-hidden', 'true');
  spark.append(document.createElementNS('http://www.w3.org/2000/svg', 'polyline'));
  const figure = (name, label) => make('div', {}, make('dt', {}, label), make('dd', { 'data-part': name }));
  card.append(make('div', { class: 'figures' },
    make('dl', {}, figure('rate', 'requests per second'), figure('errors', 'of them errors (5xx)')), spark,
    make('p', { class: 'muted', 'data-part': 'window' })));
  return card;
}

function showMachine(element, machine, status) {
  const card = element.matches('.card') ? element : part(element, 'card');
  const drills = drillsOf(status.platform);
  const isDown = tone(machine.status) === 'bad';
  setAttribute(card, 'data-tone', tone(machine.status));
  showState(part(card, 'status'), machine.status);
  setText(part(card, 'address'), machine.address ?? '');
  setDrills(part(card, 'drills'), drills.machine(machine), isDown ? 'start' : null);
  keyed(part(card, 'parts'), runningOn(machine, status, drills), (item) => item.key, createPart, showPart);
  if (element !== card) keyed(part(element, 'wires'), wiresTo(machine, status), (wire) => wire.kind, createWire, showWire);
}

function runningOn(machine, status, drills) {
  const items = machine.processes.map((process) => ({
    ...process, key: `${process.name}:${process.port}`, drills: drills.process(machine, process),
  }));
  if (status.rabbitmq && status.rabbitmq.machine === machine.name) {
    items.push({ ...status.rabbitmq, name: 'RabbitMQ', key: 'rabbitmq', drills: drills.rabbitmq(machine) });
  }
  if (status.cache && status.cache.machine === machine.name) {
    items.push({ ...status.cache, name: 'Redis', key: 'redis', kind: 'cache', drills: drills.redis(machine) });
  }
  if (machine.database) {
    items.push({ ...machine.database, key: 'database', kind: 'PostgreSQL', drills: drills.database(machine) });
  }
  return items;
}

function createPart() {
  return make('li', {},
    make('div', { class: 'what' }, make('span', { class: 'name', 'data-part': 'name' }),
      make('span', { class: 'how' }, make('span', { class: 'state', 'data-part': 'status' }),
        make('span', { class: 'muted', 'data-part': 'more' }))),
    make('div', { class: 'drills', 'data-part': 'drills' }));
}

function showPart(element, item) {
  const isBroken = ['bad', 'warn'].includes(tone(item.status));
  setAttribute(element, 'data-tone', tone(item.status));
  setText(part(element, 'name'), item.name);
  showState(part(element, 'status'), item.status);
  const time = typeof item.milliseconds === 'number' && !isBroken ? milliseconds(item.milliseconds) : null;
  setText(part(element, 'more'), [item.kind, time, isBroken ? item.detail : null].filter(Boolean).join(' · '));
  setDrills(part(element, 'drills'), item.drills, tone(item.status) === 'bad' ? 'start' : null);
}

function showState(element, status) {
  setText(element, words(status));
  setAttribute(element, 'data-tone', tone(status));
}

function wiresTo(machine, status) {
  const server = machine.processes.find((process) => process.kind === 'server');
  const upstream = status.gateway?.upstreams?.find((item) => item.name === server?.name);
  const circuit = upstream?.circuit;
  const wires = [{ kind: 'HTTP', state: circuit, text: upstream ? `circuit ${words(circuit)}` : '' }];
  if (status.rabbitmq?.machine === machine.name) {
    const state = status.rabbitmq.status;
    wires.push({ kind: 'AMQP', state, text: `broker ${words(state)}` });
  }
  return wires;
}

const createWire = (wire) =>
  make('li', {}, make('span', { class: 'kind' }, wire.kind), make('span', { class: 'state', 'data-part': 'state' }));

function showWire(element, wire) {
  setAttribute(element, 'data-tone', tone(wire.state));
  setText(part(element, 'state'), wire.text);
  setAttribute(part(element, 'state'), 'data-tone', tone(wire.state));
}

function showFigures(entrance, gateway) {
  setText(part(entrance, 'rate'), rate(gateway?.requests_per_second));
  setText(part(entrance, 'errors'), percent(gateway?.error_share));
  part(entrance, 'errors').classList.toggle('alarming', gateway?.error_share > 0);
  setText(part(entrance, 'window'), gateway?.seconds ? `over the last ${gateway.seconds} s; the line is the last minute` : '');
  samples.push(gateway?.requests_per_second ?? 0);
  samples.splice(0, samples.length - SAMPLES);
  const top = Math.max(1, ...samples);
  const left = SAMPLES - samples.length;
  const points = samples.map((value, index) => `${((left + index) * 120) / (SAMPLES - 1)},${30 - (value / top) * 28}`);
  entrance.querySelector('polyline').setAttribute('points', points.join(' '));
}
