'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = {
  apps: [
    app('customers-api', '-m customers serve'),
    app('customers-relay', '-m customers relay'),
  ],
};
