"""Wall time per image: SAM2 prompted by the LiDAR, from proposals to fusion, against its automatic generator.

The same weights on the same views, turn by turn, without the LiDAR network that predicts classes.
Run: ``python benchmarks/mask_time.py [--views 2]``.
"""

from __future__ import annotations

import argparse
import json

from _mask_views import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--views', type=int, default=2)
    options = parser.parse_args()
    automatic, ours = measure('mask-time', options.views)
    print(json.dumps({'name': 'mask-time', 'ours': round(ours.milliseconds, 1),
                      'peer': round(automatic.milliseconds, 1),
                      'ratio': round(automatic.milliseconds / ours.milliseconds, 1), 'unit': 'ms',
                      'n': options.views, 'threads': 1}))


if __name__ == '__main__':
    main()
