"""Definitions, not measurements: the only literals that need no source."""

J_PER_KWH = 3_600_000.0
MJ_PER_J = 1000.0  # millijoules
UJ_PER_J = 1_000_000.0  # microjoules
S_PER_HOUR = 3600.0
US_PER_S = 1_000_000
US_PER_HOUR = 3_600_000_000
G_PER_KG = 1000.0
G_PER_T = 1_000_000.0
W_PER_KW = 1000.0
HOURS_PER_YEAR = 8760.0  # 365 days, the convention of SCI and of product footprints
BYTES_PER_GIB = float(1 << 30)
BYTES_PER_GB = 1e9
G_PER_LB = 453.59237  # the international pound, exact by definition
KG_PER_LB = G_PER_LB / G_PER_KG
L_PER_GALLON = 3.785411784  # US liquid gallon
