'use strict';

const { app } = require('../chassis/ecosystem');

module.exports = { apps: [app('inventory-api', '-m inventory serve')] };
