-- Every counter, summed over the captures.
SELECT source, counter, cause, value FROM health
