import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['dist', 'build', 'node_modules', '.tap'] },
  ...tseslint.configs.strict,
  ...tseslint.configs.stylistic,
  {
    rules: {
      // Indexed access on the packet path is checked by lengths, not by types.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      // A callback that does nothing, a loop whose head does it all.
      '@typescript-eslint/no-empty-function': 'off',
      // A parameter that an interface asks for and this function does not need begins with _.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
    },
  },
  { files: ['eslint.config.js'], rules: { 'no-restricted-exports': 'off' } },
)
