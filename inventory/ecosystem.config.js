'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = {
  apps: [
    app('inventory-api', '-m inventory serve'),
    app('inventory-consumer', '-m inventory consume'),
    app('inventory-relay', '-m inventory relay'),
  ],
};
