'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = {
  apps: [
    app('orders-api', '-m orders serve'),
    app('orders-consumer', '-m orders consume'),
    app('orders-relay', '-m orders relay'),
    app('mail-worker', '-m orders mail-worker'),
  ],
};
