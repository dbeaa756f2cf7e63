// The commands that break and repair each part, and the buttons that copy them.

import { byId, make, setAttribute, setText } from './dom.js';

const names = (machine) => machine.processes.map((process) => process.name);
const onMachine = (name, command) => `vagrant ssh ${name} -c '${command}'`;
const pair = (of) => ({ stop: of('stop'), start: of('start') });

const STACK = {
  machine: (machine) => pair((verb) => `./stack pm2 ${verb} ${[...new Set(names(machine))].join(' ')}`),
  process: (machine, process) => pair((verb) => `./stack pm2 ${verb} ${process.name}`),
  database: (machine) => pair((verb) => `./stack server ${verb} postgresql-${machine.role}`),
  rabbitmq: () => pair((verb) => `./stack server ${verb} rabbitmq`),
  redis: () => pair((verb) => `./stack server ${verb} redis`),
  deadLetters: (_machine, verb) => `./stack run billing dlq ${verb}`,
};

const MACHINES = {
  machine: (machine) => ({ stop: `vagrant halt ${machine.name}`, start: `vagrant up ${machine.name}` }),
  process: (machine, process) => pair((verb) => onMachine(machine.name, `pm2 ${verb} ${process.name}`)),
  database: (machine) => pair((verb) => onMachine(machine.name, `sudo systemctl ${verb} postgresql`)),
  rabbitmq: (machine) => pair((verb) => onMachine(machine.name, `sudo systemctl ${verb} rabbitmq-server`)),
  redis: (machine) => pair((verb) => onMachine(machine.name, `sudo systemctl ${verb} redis-server`)),
  deadLetters: (machine, verb) => onMachine(machine, `crud-master billing dlq ${verb}`),
};

export const drillsOf = (platform) => (platform === 'machines' ? MACHINES : STACK);

export const postBill = () =>
  `curl -X POST ${location.origin}/api/billing -H 'Content-Type: application/json' ` +
  `-d '{"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}'`;

// Buttons for `commands`, by name; `wanted` is the name of the one that repairs what is down now.
export function setDrills(place, commands, wanted) {
  for (const [name, command] of Object.entries(commands)) {
    const button = place.querySelector(`[data-drill="${name}"]`) ?? addButton(place, name);
    setAttribute(button, 'data-command', command);
    setAttribute(button, 'aria-label', `Copy: ${command}`);
    button.classList.toggle('wanted', name === wanted);
  }
}

function addButton(place, name) {
  const button = make('button', { type: 'button', class: 'drill', 'data-drill': name }, name);
  place.append(button);
  return button;
}

function show(command, result = '') {
  byId('console-hint').hidden = true;
  byId('console-line').hidden = false;
  setText(byId('console-command'), command);
  setText(byId('console-result'), result);
}

// Pages have a clipboard on https and localhost only; elsewhere the command is selected, to copy by hand.
async function copy(command) {
  try {
    await navigator.clipboard.writeText(command);
    show(command, 'Copied.');
  } catch {
    show(command, 'Selected: copy it with your keyboard.');
    getSelection().selectAllChildren(byId('console-command'));
  }
}

export function listenToDrills() {
  const command = (event) => event.target.closest?.('[data-command]')?.dataset.command;
  for (const kind of ['pointerover', 'focusin']) {
    document.addEventListener(kind, (event) => command(event) && show(command(event)));
  }
  document.addEventListener('click', (event) => command(event) && copy(command(event)));
}
