"""Forecasts of time series: one network for all of them, which reads each step once."""
