"""The series that every machine has: the monthly mean of sunspot numbers, 1749 to 1983.

A public table of figures: counted at Zürich (Swiss Federal Observatory) until 1960, then at Tokyo (Astronomical
Observatory), as printed in Andrews & Herzberg 1985, *Data*, and kept in the Time Series Data Library and as
``sunspots`` in R. The observers' successor is SILSO, Royal Observatory of Belgium, https://www.sidc.be/SILSO, whose
numbers since 2015 are on another scale (version 2).
"""

from pathlib import Path

SUNSPOTS = Path(__file__).with_name("sunspots.csv")
"""Columns Month and Sunspots; 2,820 rows."""
