"""Tests of chassis.backup on real servers."""
