'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = {
  apps: [app('gateway', '-m gateway serve'), app('gateway-relay', '-m gateway relay')],
};
