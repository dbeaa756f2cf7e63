'use strict';

// The PM2 processes of the role that ROLE names, or, without it, of all roles, by topology.yml.

const { execFileSync } = require('node:child_process');

// From the environment of the one `pm2 start`; the defaults are those of a machine.
const python = process.env.PYTHON || '/opt/crud-master/current/venv/bin/python';
const root = process.env.ROOT || '/opt/crud-master/current';
const roles = process.env.ROLE ? [process.env.ROLE] : [];

const app = ({ name, args }) => ({
  name,
  // env, since PM2 hands a path with a space in it to a shell, and drops the arguments
  script: '/usr/bin/env',
  args: [python, ...args],
  cwd: root,
  // by it a process knows which one it is of those that run the same command
  env: { PROCESS_NAME: name },
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

const printed = execFileSync(python, ['-B', '-m', 'chassis.pm2', ...roles], { cwd: root, encoding: 'utf8' });
module.exports = { apps: JSON.parse(printed).map(app) };
