"""Decoder prompts per image: SAM2 prompted where the LiDAR says something is, against its automatic generator.

The same weights on the same views; recall of objects and purity of points of both are printed beside it.
Run: ``python benchmarks/mask_prompts.py [--views 2]``.
"""

from __future__ import annotations

import argparse
import json

from _mask_views import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--views', type=int, default=2)
    options = parser.parse_args()
    automatic, ours = measure('mask-prompts', options.views)
    print(json.dumps({'name': 'mask-prompts', 'ours': round(ours.prompts, 1), 'peer': round(automatic.prompts, 1),
                      'ratio': round(automatic.prompts / max(1.0, ours.prompts), 1), 'unit': 'prompts',
                      'n': options.views, 'threads': 1}))


if __name__ == '__main__':
    main()
