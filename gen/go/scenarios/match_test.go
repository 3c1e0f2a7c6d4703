package scenarios

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// match compares JSON; the error says where it differs.
func match(want, got any, where string) error {
	switch want := want.(type) {
	case string:
		switch {
		case want == "<any>" && got == nil:
			return fmt.Errorf("%s is not there", where)
		case want == "<any>":
			return nil
		case want == "<absent>" && got != nil:
			return fmt.Errorf("%s is there: %v", where, got)
		case want == "<absent>":
			return nil
		}
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is no object but %v", where, got)
		}
		for name, value := range want {
			if err := match(value, fields[name], where+"."+name); err != nil {
				return err
			}
		}
		return nil
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(want) {
			return fmt.Errorf("%s has not %d items: %v", where, len(want), got)
		}
		for i, value := range want {
			if err := match(value, items[i], fmt.Sprintf("%s.%d", where, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s is %v, not %v", where, got, want)
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// fill puts variables in place of their names.
func (s *stage) fill(content any) any {
	switch content := content.(type) {
	case string:
		return variable.ReplaceAllStringFunc(content, func(name string) string {
			value, ok := s.variables[name[2:len(name)-1]]
			if !ok {
				panic("no variable " + name)
			}
			return fmt.Sprint(value)
		})
	case []any:
		filled := make([]any, len(content))
		for i, item := range content {
			filled[i] = s.fill(item)
		}
		return filled
	case map[string]any:
		filled := map[string]any{}
		for name, value := range content {
			filled[name] = s.fill(value)
		}
		return filled
	default:
		return content
	}
}

// at follows a path such as `results.0.plaintext`; nil if it leads nowhere.
func at(content any, path string) any {
	for _, part := range strings.Split(path, ".") {
		switch container := content.(type) {
		case map[string]any:
			content = container[part]
		case []any:
			if index, err := strconv.Atoi(part); err == nil && index < len(container) {
				content = container[index]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return content
}
