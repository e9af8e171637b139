"""Distributions as tables: quantiles that were computed once, so that every machine draws the same bits."""
