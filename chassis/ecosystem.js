'use strict';

// What all PM2 processes have in common. `python` and `root` come from the environment of the one
// `pm2 start`; the defaults are those of a machine.
const python = process.env.PYTHON || '/opt/crud-master/current/venv/bin/python';
const root = process.env.ROOT || '/opt/crud-master/current';

// app(name, args): the entry that runs `python ARGS` as PM2 process `name`.
exports.app = (name, args) => ({
  name,
  // env, since PM2 hands a path with a space in it to a shell, and drops the arguments
  script: '/usr/bin/env',
  args: [python, ...args.split(' ')],
  cwd: root,
  interpreter: 'none',
  exec_mode: 'fork',
  autorestart: true,
  // never gives up: 100 ms, then longer and longer, up to 15 s
  exp_backoff_restart_delay: 100,
  // above the 10 s that the server gives to requests in flight
  kill_timeout: 15000,
  // the server's own master stops its workers, after the requests that they have in hand
  treekill: false,
  merge_logs: true,
  time: false,
  // no look for version control in the directory
  vizion: false,
});
