'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = {
  apps: [
    app('billing-api', '-m billing serve'),
    app('billing-consumer', '-m billing consume'),
    app('billing-relay', '-m billing relay'),
  ],
};
